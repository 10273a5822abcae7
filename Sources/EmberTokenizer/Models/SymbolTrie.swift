/// Byte strings, walked byte by byte: all pieces that begin at a place in one pass.
///
/// The edges lie in a hash table of (node, byte); building it is linear in the bytes of the pieces.
/// Complexity of a walk: O(1) for each byte.
struct SymbolTrie: Sendable {
  /// Node and byte in the high half, child in the low one; 0 is an empty slot, since no edge leads
  /// to the root.
  private var edges: [UInt64]
  private var mask: Int
  /// For each node, the position of the piece that ends there, or -1.
  private(set) var values: [Int32] = [-1]

  /// All nodes are numbered with 24 bits.
  private static let nodeLimit = 1 << 24

  /// - Returns: nil if the pieces are too many for any real vocabulary.
  init?(_ pieces: some Sequence<[UInt8]>) {
    self.init(pieces.enumerated().map { (Int32(truncatingIfNeeded: $0), $1) })
  }

  /// - Parameter pieces: each with its value; of equal ones the first counts.
  init?(_ pieces: [(value: Int32, bytes: [UInt8])]) {
    let total = pieces.reduce(0) { $0 + $1.bytes.count }
    guard total < Self.nodeLimit else { return nil }
    var capacity = 256
    while capacity < 2 * total + 2 { capacity *= 2 }
    edges = [UInt64](repeating: 0, count: capacity)
    mask = capacity - 1
    for piece in pieces where !piece.bytes.isEmpty {
      var node = 0
      for byte in piece.bytes { node = insert(node, byte) }
      if values[node] < 0 { values[node] = piece.value }
    }
  }

  @inline(__always)
  private static func slot(_ key: UInt64) -> Int {
    var hash = key &* 0x9e37_79b9_7f4a_7c15
    hash ^= hash >> 29
    return Int(truncatingIfNeeded: hash >> 8)
  }

  private mutating func insert(_ node: Int, _ byte: UInt8) -> Int {
    let key = UInt64(node) << 8 | UInt64(byte)
    var slot = Self.slot(key) & mask
    while edges[slot] != 0 {
      if edges[slot] >> 32 == key { return Int(edges[slot] & 0xffff_ffff) }
      slot = (slot + 1) & mask
    }
    let child = values.count
    values.append(-1)
    edges[slot] = key << 32 | UInt64(child)
    return child
  }

  /// The node after `node` by a byte, or -1.
  @inline(__always)
  func child(_ node: Int, _ byte: UInt8) -> Int {
    let key = UInt64(node) << 8 | UInt64(byte)
    var slot = Self.slot(key) & mask
    while true {
      let edge = edges[slot]
      if edge == 0 { return -1 }
      if edge >> 32 == key { return Int(edge & 0xffff_ffff) }
      slot = (slot + 1) & mask
    }
  }

  /// The length of the longest piece that begins at `start`, or nil.
  func longest(_ text: UnsafeBufferPointer<UInt8>, _ start: Int) -> Int? {
    var node = 0
    var best: Int?
    var index = start
    while index < text.count {
      node = child(node, text[index])
      if node < 0 { break }
      index += 1
      if values[node] >= 0 { best = index - start }
    }
    return best
  }
}
