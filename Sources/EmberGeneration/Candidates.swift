import EmberKernels

/// The tokens that may still be drawn, in the order of their ids.
///
/// Nothing is ever sorted: a filter finds the logit at its edge by counting digits (see
/// `UnsafeSelection`), O(n) whatever the logits. Weights are counted as integers, so sums are exact
/// and a filter cuts where it would in a sorted list. The buffers are allocated once per vocabulary
/// size.
struct Candidates: Sendable {
  private(set) var count = 0
  /// [vocabularySize] each, `count` in use
  private var ids: [Int32] = []
  private var logits: [Float] = []
  /// e^((logit − maximum) / temperature), 0 ... 1
  private var weights: [Float] = []
  /// What top-p leaves of them.
  private var cutoff = Cutoff.none
  private var members: [Int32] = []
  private var bins = [UInt64](repeating: 0, count: UnsafeSelection.binCount)

  /// Tokens looked at between two selections of the largest, at least.
  private static let chunk = 8192

  /// Takes the tokens whose logits are above `floor`, the `limit` largest of them at most.
  mutating func gather(_ source: UnsafeMutableBufferPointer<Float>, above floor: Float, limit: Int)
  {
    if ids.count < source.count {
      ids = [Int32](repeating: 0, count: source.count)
      logits = [Float](repeating: 0, count: source.count)
      weights = [Float](repeating: 0, count: source.count)
      members = [Int32](repeating: 0, count: source.count)
    }
    count = 0
    cutoff = .none
    var floor = floor
    for start in stride(from: 0, to: source.count, by: Self.chunk) {
      append(source, start..<min(start + Self.chunk, source.count), above: floor)
      // Selecting at least halves what is there, so that a token costs O(1) on average.
      if limit <= Self.chunk / 2, count >= Self.chunk {
        keepLargest(limit)
        // A later token of the same logit has a higher id, so it loses.
        floor = logits[..<count].min() ?? floor
      }
    }
    keepLargest(limit)
  }

  /// weight = e^((logit − maximum) · scale)
  mutating func weigh(maximum: Float, scale: Float, kernels: Kernels) {
    let count = count
    logits.withUnsafeBufferPointer { logits in
      weights.withUnsafeMutableBufferPointer { weights in
        for i in 0..<count { weights[i] = (logits[i] - maximum) * scale }
        if let start = weights.baseAddress { _ = kernels.table.exponentials(start, 0, count) }
      }
    }
  }

  /// Drops the candidates whose weight is below `minimum`.
  mutating func keepWeights(from minimum: Float) {
    keep { _, _, weight in weight >= minimum ? 1 : 0 }
  }

  /// Keeps the smallest set of candidates of the largest logits whose weights come to `share` of all.
  /// It must be the last filter.
  mutating func keepHeaviest(share: Float) {
    cutoff = select { i, weights in
      UnsafeSelection.amount(weights[i])
    } reaching: { total in
      UInt64(max(0, (Double(share) * Double(total)).rounded(.up)))
    }
  }

  /// The candidate at `random` / 2⁶⁴ of the way through the weights, in the order of the ids.
  func draw(_ random: UInt64) -> Int32? {
    let index = logits.withUnsafeBufferPointer { logits in
      weights.withUnsafeBufferPointer { weights in
        UnsafeSelection.draw(random, logits, weights, count, cutoff)
      }
    }
    return index.map { ids[$0] }
  }

  /// Keeps the candidates of the largest logits, lower ids first among equals.
  private mutating func keepLargest(_ limit: Int) {
    if count <= limit { return }
    let cutoff = select(amount: { _, _ in 1 }, reaching: { _ in UInt64(limit) })
    keep { i, logit, _ in Int(cutoff.keeps(UnsafeSelection.key(logit), at: i)) }
  }

  @inline(__always)
  private mutating func select(
    amount: (Int, UnsafeBufferPointer<Float>) -> UInt64, reaching: (UInt64) -> UInt64
  ) -> Cutoff {
    let count = count
    return logits.withUnsafeBufferPointer { logits in
      weights.withUnsafeBufferPointer { weights in
        bins.withUnsafeMutableBufferPointer { bins in
          members.withUnsafeMutableBufferPointer { members in
            UnsafeSelection.cutoff(
              logits, count, bins: bins, members: members, amount: { amount($0, weights) },
              reaching: reaching)
          }
        }
      }
    }
  }

  // MARK: - Loops without branches: whether a token stays is close to random

  private mutating func append(
    _ source: UnsafeMutableBufferPointer<Float>, _ range: Range<Int>, above floor: Float
  ) {
    var kept = count
    let floor = UInt64(UnsafeSelection.key(floor))
    ids.withUnsafeMutableBufferPointer { ids in
      logits.withUnsafeMutableBufferPointer { logits in
        for id in range {
          // Never behind `id`, so there is room.
          ids[kept] = Int32(truncatingIfNeeded: id)
          logits[kept] = source[id]
          kept &+= Int((floor &- UInt64(UnsafeSelection.key(source[id]))) >> 63)
        }
      }
    }
    count = kept
  }

  @inline(__always)
  private mutating func keep(_ keeps: (_ index: Int, _ logit: Float, _ weight: Float) -> Int) {
    let count = count
    var kept = 0
    ids.withUnsafeMutableBufferPointer { ids in
      logits.withUnsafeMutableBufferPointer { logits in
        weights.withUnsafeMutableBufferPointer { weights in
          for i in 0..<count {
            let (id, logit, weight) = (ids[i], logits[i], weights[i])
            ids[kept] = id
            logits[kept] = logit
            weights[kept] = weight
            kept &+= keeps(i, logit, weight)
          }
        }
      }
    }
    self.count = kept
  }
}
