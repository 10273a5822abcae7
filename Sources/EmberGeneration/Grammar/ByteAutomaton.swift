/// The UTF-8 of one character out of a set, byte by byte, so that a character may be split over
/// tokens.
///
/// UTF-8 is prefix-free: a byte either completes the character or leads to one node, never both.
struct ByteAutomaton: Sendable {
  static let dead: Int16 = -1
  static let accepting: Int16 = -2

  /// [nodes][256]; node 0 is the beginning.
  private var table: [Int16]

  init(_ set: CharacterRanges) {
    table = [Int16](repeating: Self.dead, count: 256)
    var known: [Key: Int16] = [:]
    for byte in 0..<UInt32(0x80) where set.contains(byte) { table[Int(byte)] = Self.accepting }
    // Scalars of two, three and four bytes: the first byte, what it stands for, and the rest.
    let scalars = set.subtracting(CharacterRanges([0xD800...0xDFFF]))
    for (leads, mask, low, high, rest) in [
      (UInt32(0xC2)...0xDF, UInt32(0x1F), UInt32(0x80), UInt32(0x7FF), UInt32(1)),
      (0xE0...0xEF, 0x0F, 0x800, 0xFFFF, 2),
      (0xF0...0xF4, 0x07, 0x10000, 0x10FFFF, 3),
    ] {
      let possible = scalars.subtracting(CharacterRanges([low...high]).inverted)
      for lead in leads {
        let size = UInt32(1) << (6 * rest)
        let part = possible.slice(from: (lead & mask) << (6 * rest), count: size)
        if !part.ranges.isEmpty { table[Int(lead)] = node(part, rest, &known) }
      }
    }
  }

  /// The node behind a byte, `accepting`, or `dead`.
  func next(_ node: Int16, _ byte: UInt8) -> Int16 { table[Int(node) << 8 | Int(byte)] }

  private struct Key: Hashable {
    let set: CharacterRanges
    let rest: UInt32
  }

  /// The node from which `rest` continuation bytes spell a number of the set.
  private mutating func node(
    _ set: CharacterRanges, _ rest: UInt32, _ known: inout [Key: Int16]
  ) -> Int16 {
    let key = Key(set: set, rest: rest)
    if let node = known[key] { return node }
    let node = Int16(table.count / 256)
    known[key] = node
    table += [Int16](repeating: Self.dead, count: 256)
    let size = UInt32(1) << (6 * (rest - 1))
    for byte in 0..<UInt32(64) {
      let part = set.slice(from: byte * size, count: size)
      if part.ranges.isEmpty { continue }
      let target = rest == 1 ? Self.accepting : self.node(part, rest - 1, &known)
      table[Int(node) << 8 | Int(0x80 | byte)] = target
    }
    return node
  }
}
