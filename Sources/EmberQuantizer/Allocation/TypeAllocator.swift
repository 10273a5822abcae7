import Foundation

/// Chooses a type for every tensor, so that the whole loses least for its bytes.
///
/// The loss of a mix is the sum of its parts' losses. With one tensor after another all sums of
/// (bytes, loss) are made, and of those whose bytes fall into the same of some thousand intervals
/// only the best is kept: dynamic programming over a knapsack with one choice of each kind. While
/// the intervals are a single byte, the result is optimal; else sums of the same interval compare by
/// loss + price · bytes, the price being what a byte gains where all tensors pay the same for it
/// (the Lagrange multiplier), so that the result is optimal up to a share of one interval.
///
/// Time and memory: O(tensors · choices · intervals).
package struct TypeAllocator {
  /// What storing a tensor in one type costs.
  package struct Choice: Sendable {
    package var byteCount: Int
    /// How much it adds to the KL divergence of the model, in nats.
    package var divergence: Double

    package init(byteCount: Int, divergence: Double) {
      self.byteCount = byteCount
      self.divergence = divergence
    }
  }

  /// A mix: the index of the choice for each tensor.
  package struct Mix: Sendable, Equatable {
    package var choices: [Int]
    package var byteCount: Int
    package var divergence: Double
  }

  /// The possible types of each tensor; none empty.
  private let tensors: [[Choice]]
  private let resolution: Int

  /// - Parameter resolution: intervals of bytes, at most.
  package init(tensors: [[Choice]], resolution: Int = 4096) {
    self.tensors = tensors
    self.resolution = max(1, resolution)
  }

  private struct Sum {
    var byteCount: Int
    var divergence: Double
    /// The sum without this tensor, in the list before; and the tensor's choice.
    var parent: Int32
    var choice: Int32
  }

  /// The mixes of at most `limit` bytes that are worth considering, the smallest divergence first.
  package func mixes(limit: Int) -> [Mix] {
    let smallest = tensors.reduce(0) { sum, choices in
      sum + (choices.map(\.byteCount).min() ?? 0)
    }
    if smallest > limit { return [] }
    // What each tensor takes beyond its smallest choice.
    let room = limit - smallest
    let width = room / resolution + 1
    let price = self.price(limit: limit)
    var sums = [Sum(byteCount: 0, divergence: 0, parent: 0, choice: 0)]
    var history: [[Sum]] = []
    for choices in tensors {
      let least = choices.map(\.byteCount).min() ?? 0
      var best = [Sum?](repeating: nil, count: room / width + 1)
      for (parent, sum) in sums.enumerated() {
        for (index, choice) in choices.enumerated() {
          let bytes = sum.byteCount + choice.byteCount - least
          if bytes > room { continue }
          let divergence = sum.divergence + choice.divergence
          if let old = best[bytes / width],
            old.divergence + price * Double(old.byteCount)
              <= divergence + price * Double(bytes)
          {
            continue
          }
          best[bytes / width] = Sum(
            byteCount: bytes, divergence: divergence, parent: Int32(parent), choice: Int32(index))
        }
      }
      sums = best.compactMap { $0 }
      history.append(sums)
    }
    let order = sums.indices.sorted {
      (sums[$0].divergence, sums[$0].byteCount) < (sums[$1].divergence, sums[$1].byteCount)
    }
    return order.map { last in
      var choices = [Int](repeating: 0, count: tensors.count)
      var place = last
      for tensor in tensors.indices.reversed() {
        choices[tensor] = Int(history[tensor][place].choice)
        place = Int(history[tensor][place].parent)
      }
      return Mix(
        choices: choices, byteCount: smallest + sums[last].byteCount,
        divergence: sums[last].divergence)
    }
  }

  /// The divergence that a byte is worth where every tensor takes its choice of the smallest
  /// divergence + price · bytes and all together take about `limit` bytes.
  private func price(limit: Int) -> Double {
    func bytes(at price: Double) -> Int {
      tensors.reduce(0) { sum, choices in
        let best = choices.min {
          $0.divergence + price * Double($0.byteCount)
            < $1.divergence + price * Double($1.byteCount)
        }
        return sum + (best?.byteCount ?? 0)
      }
    }
    // By bisection of the exponent: from next to nothing to more than any loss.
    var (low, high) = (-80.0, 40.0)
    for _ in 0..<60 {
      let middle = (low + high) / 2
      if bytes(at: exp2(middle)) > limit { low = middle } else { high = middle }
    }
    return exp2(high)
  }
}
