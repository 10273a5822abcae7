/// A binary heap of merge candidates: lowest rank first, leftmost of equals first.
struct MinimumQueue {
  /// Rank in the high half, position in the low one, so that one comparison orders both.
  private var heap: [UInt64] = []

  mutating func removeAll() { heap.removeAll(keepingCapacity: true) }

  /// Complexity: O(log n).
  mutating func insert(rank: UInt32, position: Int) {
    let key = UInt64(rank) << 32 | UInt64(UInt32(truncatingIfNeeded: position))
    var child = heap.count
    heap.append(key)
    while child > 0 {
      let parent = (child - 1) / 2
      if heap[parent] <= key { break }
      heap[child] = heap[parent]
      child = parent
    }
    heap[child] = key
  }

  /// Complexity: O(log n).
  mutating func popMinimum() -> (rank: UInt32, position: Int)? {
    guard let minimum = heap.first, let last = heap.popLast() else { return nil }
    if !heap.isEmpty {
      var parent = 0
      while true {
        var child = 2 * parent + 1
        if child >= heap.count { break }
        if child + 1 < heap.count && heap[child + 1] < heap[child] { child += 1 }
        if last <= heap[child] { break }
        heap[parent] = heap[child]
        parent = child
      }
      heap[parent] = last
    }
    return (UInt32(minimum >> 32), Int(minimum & 0xffff_ffff))
  }
}
