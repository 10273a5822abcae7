/// SentencePiece's precompiled character map: u32 bytes of a Darts double array, the array, and the
/// replacements, each ended by 0 (google/sentencepiece, src/normalizer.cc; Yata et al. 2007).
///
/// Every index that the array leads to is checked, so damage costs a wrong text and nothing more.
struct CharacterMap: Sendable {
  private let units: [UInt32]
  private let replacements: [UInt8]
  /// Bytes that some key begins with.
  private let canBegin: [Bool]

  static let byteLimit = 16 << 20

  /// - Returns: nil if the bytes are no such map.
  init?(_ bytes: [UInt8]) {
    guard bytes.count <= Self.byteLimit, let size = TokenizerStep.word(bytes, 0) else { return nil }
    let byteCount = Int(size)
    guard byteCount % 4 == 0, byteCount >= 4, byteCount < bytes.count - 4 else { return nil }
    var units: [UInt32] = []
    units.reserveCapacity(byteCount / 4)
    for at in stride(from: 4, to: 4 + byteCount, by: 4) {
      units.append(
        UInt32(bytes[at]) | UInt32(bytes[at + 1]) << 8 | UInt32(bytes[at + 2]) << 16
          | UInt32(bytes[at + 3]) << 24)
    }
    self.units = units
    replacements = Array(bytes[(4 + byteCount)...])
    guard let root = units.first else { return nil }
    canBegin = (0..<256).map { byte in
      let node = Int(Self.offset(root)) ^ byte
      return node < units.count && Self.label(units[node]) == UInt32(byte)
    }
    // A replacement that were not text would break what the later steps rely on.
    guard String(validating: replacements, as: UTF8.self) != nil else { return nil }
  }

  private static func offset(_ unit: UInt32) -> UInt32 { (unit >> 10) << ((unit & (1 << 9)) >> 6) }
  private static func label(_ unit: UInt32) -> UInt32 { unit & 0x8000_00ff }
  private static func hasLeaf(_ unit: UInt32) -> Bool { unit >> 8 & 1 == 1 }
  private static func value(_ unit: UInt32) -> UInt32 { unit & 0x7fff_ffff }

  @inline(__always)
  func mayBegin(with byte: UInt8) -> Bool { canBegin[Int(byte)] }

  enum Choice { case shortest, longest }

  /// The entry for a prefix of the text's bytes in `range`.
  ///
  /// - Returns: where its replacement lies, and how many bytes it takes.
  func find(
    _ text: UnsafeBufferPointer<UInt8>, _ range: Range<Int>, _ choice: Choice
  ) -> (replacement: Range<Int>, byteCount: Int)? {
    var node = Int(Self.offset(units[0]))
    var best: (value: UInt32, byteCount: Int)?
    for index in range {
      let byte = text[index]
      if byte == 0 { break }
      node ^= Int(byte)
      guard node < units.count else { break }
      let unit = units[node]
      guard Self.label(unit) == UInt32(byte) else { break }
      node ^= Int(Self.offset(unit))
      // A key that ended inside a character would leave half of it behind.
      let isWhole = index + 1 == text.count || text[index + 1] & 0xc0 != 0x80
      if Self.hasLeaf(unit), node < units.count, isWhole {
        best = (Self.value(units[node]), index + 1 - range.lowerBound)
        if choice == .shortest { break }
      }
    }
    guard let best, Int(best.value) <= replacements.count else { return nil }
    let start = Int(best.value)
    let end = replacements[start...].firstIndex(of: 0) ?? replacements.count
    // A start inside a character would hand out part of it.
    if start < end, replacements[start] & 0xc0 == 0x80 { return nil }
    return (start..<end, best.byteCount)
  }

  func bytes(_ range: Range<Int>) -> ArraySlice<UInt8> { replacements[range] }
}
