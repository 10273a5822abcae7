import EmberKernels

/// The tokens that may still be drawn, in the order of their ids.
///
/// Nothing is ever sorted: a filter finds the logit at its edge by counting digits (see
/// `UnsafeSelection`), O(n) whatever the logits. Weights are counted as integers, so sums are exact
/// and a filter cuts where it would in a sorted list. The buffers are allocated once per vocabulary
/// size.
struct Candidates: Sendable {
  private let kernels: Kernels
  private(set) var count = 0
  /// [vocabularySize] each, `count` in use
  private var ids: [Int32] = []
  private var logits: [Float] = []
  /// e^((logit − maximum) / temperature), 0 ... 1; 0 where a filter has dropped the token
  private var weights: [Float] = []
  /// For typical-p: −|surprise − entropy|; allocated where it is used.
  private var typicality: [Float] = []
  /// What `weigh` was given.
  private var maximum: Float = 0
  private var scale: Float = 1
  /// The amount of all weights, where a filter has counted it.
  private var total: UInt64?
  /// For selection: see `UnsafeSelection`.
  private var bins = [UInt64](repeating: 0, count: ScalarSelection.binCount)
  private var memberPlaces: [Int32] = []
  private var memberLogits: [Float] = []
  private var memberWeights: [Float] = []

  /// Tokens looked at between two selections of the largest, at least.
  private static let chunk = 8192

  init(kernels: Kernels) { self.kernels = kernels }

  /// Takes the tokens whose logits are above `floor`, the `limit` largest of them at most.
  mutating func gather(_ source: UnsafeMutableBufferPointer<Float>, above floor: Float, limit: Int)
  {
    if ids.count < source.count { allocate(source.count) }
    count = 0
    total = nil
    var floor = floor
    for start in stride(from: 0, to: source.count, by: Self.chunk) {
      append(source, start..<min(start + Self.chunk, source.count), above: floor)
      // Selecting at least halves what is there, so that a token costs O(1) on average.
      if limit <= Self.chunk / 2, count >= Self.chunk {
        // A later token of the same logit has a higher id, so it loses.
        floor = keepLargest(limit) ?? floor
      }
    }
    _ = keepLargest(limit)
  }

  /// weight = e^((logit − maximum) · scale), or 0 where that is below `minimum`.
  mutating func weigh(maximum: Float, scale: Float, minimum: Float) {
    (self.maximum, self.scale) = (maximum, scale)
    let (count, kernels) = (count, kernels)
    logits.withUnsafeBufferPointer { logits in
      weights.withUnsafeMutableBufferPointer { weights in
        for i in 0..<count { weights[i] = (logits[i] - maximum) * scale }
        guard let start = weights.baseAddress else { return }
        _ = kernels.table.exponentials(start, 0, count)
        if minimum > 0 { kernels.table.drop_below(start, start, minimum, count) }
      }
    }
  }

  /// Keeps the smallest set of candidates of the largest logits whose weights come to `share` of all.
  mutating func keepHeaviest(share: Float) {
    let cutoff = select(weighted: true) { total in
      UInt64(max(0, (Double(share) * Double(total)).rounded(.up)))
    }
    guard let cutoff else { return }
    total = cutoff.amount
    let (count, edge, drop) = (count, cutoff.lastTie + 1, kernels.table.drop_below)
    logits.withUnsafeBufferPointer { logits in
      weights.withUnsafeMutableBufferPointer { weights in
        guard let logits = logits.baseAddress, let weights = weights.baseAddress else { return }
        drop?(weights, logits, cutoff.logit, edge)
        drop?(weights + edge, logits + edge, cutoff.logit.nextUp, count - edge)
      }
    }
  }

  /// The place of the candidate at `random` / 2⁶⁴ of the way through the weights, in the order of the
  /// ids.
  func draw(_ random: UInt64) -> Int? {
    weights.withUnsafeBufferPointer { weights -> Int? in
      guard let start = weights.baseAddress else { return nil }
      return UnsafeSelection.draw(
        random, start, count, total: total ?? kernels.table.sum_units(start, count),
        kernels: kernels)
    }
  }

  func id(at place: Int) -> Int32 { ids[place] }

  func weight(at place: Int) -> Float { weights[place] }

  /// (logit − maximum) / temperature
  func exponent(at place: Int) -> Float { (logits[place] - maximum) * scale }

  /// The amount of all weights, in units of 2⁻³⁶.
  var totalUnits: UInt64 {
    total
      ?? weights.withUnsafeBufferPointer { weights in
        weights.baseAddress.map { kernels.table.sum_units($0, count) } ?? 0
      }
  }

  /// Those that can be drawn, in the order of their ids.
  var probabilities: [(id: Int32, probability: Double)] {
    let total = Double(totalUnits)
    return (0..<count).compactMap { place in
      let units = ScalarSelection.units(weights[place])
      return units == 0 ? nil : (ids[place], Double(units) / total)
    }
  }

  /// Keeps the smallest set of candidates of the largest keys whose weights come to `share` of all,
  /// and those whose key is that of the last of them.
  ///
  /// - Parameter key: of the candidate at a place.
  mutating func keep(share: Float, by key: (_ candidates: borrowing Candidates, Int) -> Float) {
    if typicality.count < logits.count { typicality = [Float](repeating: 0, count: logits.count) }
    for place in 0..<count { typicality[place] = key(self, place) }
    // Selection looks at logits.
    swap(&logits, &typicality)
    let cutoff = select(weighted: true) { total in
      UInt64(max(0, (Double(share) * Double(total)).rounded(.up)))
    }
    swap(&logits, &typicality)
    guard let cutoff else { return }
    total = nil
    let (count, drop) = (count, kernels.table.drop_below)
    typicality.withUnsafeBufferPointer { keys in
      weights.withUnsafeMutableBufferPointer { weights in
        guard let keys = keys.baseAddress, let weights = weights.baseAddress else { return }
        drop?(weights, keys, cutoff.logit, count)
      }
    }
  }

  /// Drops the candidates of smaller exponents.
  mutating func drop(belowExponent limit: Double) {
    total = nil
    for place in 0..<count where Double(exponent(at: place)) < limit { weights[place] = 0 }
  }

  private mutating func allocate(_ count: Int) {
    ids = [Int32](repeating: 0, count: count)
    memberPlaces = ids
    logits = [Float](repeating: 0, count: count)
    weights = logits
    memberLogits = logits
    memberWeights = logits
  }

  /// Keeps the candidates of the largest logits, lower ids first among equals; returns the smallest
  /// logit that stays, or nil where all do.
  private mutating func keepLargest(_ limit: Int) -> Float? {
    if count <= limit { return nil }
    guard let cutoff = select(weighted: false, reaching: { _ in UInt64(limit) }) else { return nil }
    let edge = cutoff.lastTie + 1
    let key = ScalarSelection.key(cutoff.logit)
    let ties = keep(0..<edge, from: key, at: 0)
    count = ties + keep(edge..<count, from: key + 1, at: ties)
    return cutoff.logit
  }

  private mutating func select(
    weighted: Bool, reaching: (_ total: UInt64) -> UInt64
  ) -> Cutoff? {
    if count == 0 { return nil }
    let (count, kernels) = (count, kernels)
    func cutoff(_ weights: UnsafePointer<Float>?) -> Cutoff? {
      logits.withUnsafeBufferPointer { logits in
        bins.withUnsafeMutableBufferPointer { bins in
          memberPlaces.withUnsafeMutableBufferPointer { places in
            memberLogits.withUnsafeMutableBufferPointer { memberLogits in
              memberWeights.withUnsafeMutableBufferPointer { memberWeights in
                guard let logits = logits.baseAddress, let bins = bins.baseAddress,
                  let places = places.baseAddress, let memberLogits = memberLogits.baseAddress,
                  let memberWeights = memberWeights.baseAddress
                else { return nil }
                return UnsafeSelection(
                  bins: bins, places: places, logits: memberLogits, weights: memberWeights,
                  kernels: kernels
                ).cutoff(logits, weights, count, reaching: reaching)
              }
            }
          }
        }
      }
    }
    return weighted ? weights.withUnsafeBufferPointer { cutoff($0.baseAddress) } : cutoff(nil)
  }

  /// Adds those tokens of a range of all that are above `floor`.
  private mutating func append(
    _ source: UnsafeMutableBufferPointer<Float>, _ range: Range<Int>, above floor: Float
  ) {
    let (count, kernels) = (count, kernels)
    let added = ids.withUnsafeMutableBufferPointer { ids in
      logits.withUnsafeMutableBufferPointer { logits in
        guard let ids = ids.baseAddress, let logits = logits.baseAddress,
          let source = source.baseAddress
        else { return 0 }
        // `count` is never behind the range's start, so there is room.
        return kernels.table.select_keys(
          source + range.lowerBound, nil, Int32(truncatingIfNeeded: range.lowerBound), range.count,
          ScalarSelection.key(floor) &+ 1, .max, ids + count, logits + count)
      }
    }
    self.count = count + added
  }

  /// Moves those candidates of a range whose key is at least `lowest` to `place`, which is not
  /// behind the range; returns their number.
  private mutating func keep(_ range: Range<Int>, from lowest: UInt32, at place: Int) -> Int {
    let kernels = kernels
    return ids.withUnsafeMutableBufferPointer { ids in
      logits.withUnsafeMutableBufferPointer { logits in
        guard let ids = ids.baseAddress, let logits = logits.baseAddress else { return 0 }
        return kernels.table.select_keys(
          logits + range.lowerBound, ids + range.lowerBound, 0, range.count, lowest, .max,
          ids + place, logits + place)
      }
    }
  }
}
