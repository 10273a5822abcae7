import Foundation

/// What attention scores gain with distance: a learned number for each bucket of distances (Raffel et
/// al. 2020, section 2.1), spread out once so that attention looks it up by the distance itself.
package struct RelativeBias {
  let buckets: Int
  let maximumDistance: Int
  /// Whether keys may come behind the query, as in an encoder: half of the buckets are for those.
  let isBidirectional: Bool

  package init(buckets: Int, maximumDistance: Int, isBidirectional: Bool) {
    self.buckets = buckets
    self.maximumDistance = maximumDistance
    self.isBidirectional = isBidirectional
  }

  /// biases[head][distance] = table[bucket of the distance][head]
  ///
  /// - Parameters:
  ///   - biases: [heads][stride], of each the place of distance 0.
  ///   - table: [buckets][heads]
  ///   - distances: the query's position less the key's.
  func fill(
    _ biases: UnsafeMutablePointer<Float>, stride: Int, distances: Range<Int>,
    table: UnsafePointer<Float>, heads: Int
  ) {
    for distance in distances {
      let bucket = bucket(of: distance)
      for head in 0..<heads { biases[head * stride + distance] = table[bucket * heads + head] }
    }
  }

  /// Single precision and the order of operations are transformers': they decide on which side of a
  /// border a distance falls.
  package func bucket(of distance: Int) -> Int {
    let count = isBidirectional ? buckets / 2 : buckets
    let first = isBidirectional && distance < 0 ? count : 0
    let size = isBidirectional ? abs(distance) : max(0, distance)
    let exact = count / 2
    if size < exact { return first + size }
    let range = Float(log(Double(maximumDistance) / Double(exact)))
    let share = Float(log(Float(size) / Float(exact))) / range * Float(count - exact)
    return first + min(count - 1, exact + Int(min(share, Float(count))))
  }
}
