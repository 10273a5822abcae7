/// Pair of ids → rank and result, as the stored form holds it; only for building.
struct MergeTable {
  /// Four words a slot: left, right, rank, result; an empty slot is all ones.
  private(set) var words: [UInt32] = []

  /// Of equal pairs the last counts, as in Hugging Face's loader.
  ///
  /// - Returns: nil if no table of reasonable size keeps the probes short.
  init?(_ merges: [TokenizerDescription.Merge]) {
    var capacity = 16
    while capacity < 2 * merges.count { capacity *= 2 }
    for _ in 0..<5 {
      if fill(capacity, merges) { return }
      capacity *= 2
    }
    return nil
  }

  private mutating func fill(_ capacity: Int, _ merges: [TokenizerDescription.Merge]) -> Bool {
    words = [UInt32](repeating: .max, count: 4 * capacity)
    for merge in merges {
      let left = UInt32(bitPattern: merge.left)
      let right = UInt32(bitPattern: merge.right)
      let first = Int(TokenizerHash.merge(left, right))
      var placed = false
      for step in 0..<TokenizerHash.maximumProbes where !placed {
        let slot = 4 * ((first + step) & (capacity - 1))
        if words[slot] == .max || (words[slot] == left && words[slot + 1] == right) {
          words[slot] = left
          words[slot + 1] = right
          words[slot + 2] = merge.rank
          words[slot + 3] = UInt32(bitPattern: merge.result)
          placed = true
        }
      }
      if !placed { return false }
    }
    return true
  }
}
