/// Byte strings → their positions in a list: the stored piece table while it is being built, and the
/// importers' look-up of vocabulary entries.
///
/// Open addressing with linear probing over the slots that the stored form holds. Swift's
/// `Dictionary<String, …>` is no substitute: its keys compare by canonical equivalence, and two
/// pieces of a vocabulary may differ in nothing else.
struct PieceTable {
  /// Position in `entries`, or `Self.empty`; the count is a power of two.
  private(set) var slots: [UInt32]
  private let entries: [[UInt8]]

  static let empty = UInt32.max

  /// Holds those entries for which `includes` is true; of equal ones the first.
  ///
  /// - Throws: nothing; nil if no table of reasonable size keeps the probes short.
  init?(_ entries: [[UInt8]], includes: (Int) -> Bool = { _ in true }) {
    self.entries = entries
    slots = []
    var capacity = 16
    while capacity < 2 * entries.count { capacity *= 2 }
    for _ in 0..<5 {
      if fill(capacity, includes) { return }
      capacity *= 2
    }
    return nil
  }

  private mutating func fill(_ capacity: Int, _ includes: (Int) -> Bool) -> Bool {
    slots = [UInt32](repeating: Self.empty, count: capacity)
    for index in entries.indices where includes(index) {
      guard let slot = entries[index].withUnsafeBufferPointer({ probe($0) }) else { return false }
      if slots[slot] == Self.empty { slots[slot] = UInt32(index) }
    }
    return true
  }

  /// The slot that holds these bytes, or the empty one where they would go, or nil if both are far.
  private func probe(_ bytes: UnsafeBufferPointer<UInt8>) -> Int? {
    let mask = slots.count - 1
    let first = Int(TokenizerHash.piece(bytes))
    for step in 0..<TokenizerHash.maximumProbes {
      let slot = (first + step) & mask
      if slots[slot] == Self.empty { return slot }
      if entries[Int(slots[slot])].elementsEqual(bytes) { return slot }
    }
    return nil
  }

  func find(_ bytes: UnsafeBufferPointer<UInt8>) -> Int? {
    guard let slot = probe(bytes), slots[slot] != Self.empty else { return nil }
    return Int(slots[slot])
  }

  func find(_ bytes: [UInt8]) -> Int? { bytes.withUnsafeBufferPointer { find($0) } }
}
