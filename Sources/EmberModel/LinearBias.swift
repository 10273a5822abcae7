import Foundation

/// What attention scores lose with distance: ALiBi (Press et al. 2022, section 3).
enum LinearBias {
  /// biases[head][distance] = −slope of the head · distance
  ///
  /// - Parameter biases: [heads][distances]
  static func fill(_ biases: UnsafeMutablePointer<Float>, heads: Int, distances: Int) {
    for head in 0..<heads {
      let slope = Self.slope(head: head, of: heads)
      for distance in 0..<distances {
        biases[head * distances + distance] = Float(-slope * Double(distance))
      }
    }
  }

  /// A geometric sequence: 2^(−8/n), its square, … for n heads. Where n is no power of two: those of
  /// the power below, then every second one of those of the power above.
  static func slope(head: Int, of heads: Int) -> Double {
    var power = 1
    while power * 2 <= heads { power *= 2 }
    return head < power
      ? exp2(-8 * Double(head + 1) / Double(power))
      : exp2(-4 * Double(2 * (head - power) + 1) / Double(power))
  }
}
