/// Reads the tables of a stored tokenizer in place, without bounds checks.
///
/// Safe because a view is made only from bytes that `SerializedLayout` has validated (every section
/// lies within the bytes, every id is below the piece count, offsets rise) and is used only inside
/// the `withUnsafeBytes` that gave its pointer. Loads are unaligned: an array of bytes promises no
/// alignment, and the processors in question do not care.
struct UnsafeTokenizerView {
  let layout: SerializedLayout
  private let base: UnsafeRawPointer

  init?(_ bytes: UnsafeRawBufferPointer, _ layout: SerializedLayout) {
    guard let base = bytes.baseAddress else { return nil }
    self.base = base
    self.layout = layout
  }

  @inline(__always)
  private func word(_ at: Int) -> UInt32 {
    UInt32(littleEndian: base.loadUnaligned(fromByteOffset: at, as: UInt32.self))
  }

  /// The bytes of a piece; `id` must be valid.
  @inline(__always)
  func piece(_ id: Int32) -> UnsafeBufferPointer<UInt8> {
    let start = Int(word(layout.pieceOffsets + 4 * Int(id)))
    let end = Int(word(layout.pieceOffsets + 4 * Int(id) + 4))
    let first = base.advanced(by: layout.pool + start).assumingMemoryBound(to: UInt8.self)
    return UnsafeBufferPointer(start: first, count: end - start)
  }

  @inline(__always)
  func flags(_ id: Int32) -> PieceFlags {
    PieceFlags(rawValue: base.load(fromByteOffset: layout.pieceFlags + Int(id), as: UInt8.self))
  }

  /// The token of a lone byte, or -1.
  @inline(__always)
  func byteToken(_ byte: UInt8) -> Int32 {
    Int32(bitPattern: word(layout.byteTokens + 4 * Int(byte)))
  }

  /// The token whose piece is these bytes, or -1.
  @inline(__always)
  func find(_ bytes: UnsafeBufferPointer<UInt8>) -> Int32 {
    if bytes.count > layout.longestPiece { return -1 }
    let mask = layout.pieceSlotCount - 1
    let first = Int(TokenizerHash.piece(bytes))
    for step in 0..<TokenizerHash.maximumProbes {
      let found = word(layout.pieceTable + 4 * ((first + step) & mask))
      if found == .max { return -1 }
      let id = Int32(bitPattern: found)
      let candidate = piece(id)
      if candidate.count == bytes.count && Self.equal(candidate, bytes) { return id }
    }
    return -1
  }

  @inline(__always)
  private static func equal(
    _ one: UnsafeBufferPointer<UInt8>, _ other: UnsafeBufferPointer<UInt8>
  ) -> Bool {
    for index in 0..<one.count where one[index] != other[index] { return false }
    return true
  }

  /// The rank of the merge of two neighbours and its result; the rank is `.max` if there is none.
  @inline(__always)
  func merge(_ left: Int32, _ right: Int32) -> (rank: UInt32, result: Int32) {
    let wanted = (UInt32(bitPattern: left), UInt32(bitPattern: right))
    let mask = layout.mergeSlotCount - 1
    let first = Int(TokenizerHash.merge(wanted.0, wanted.1))
    for step in 0..<TokenizerHash.maximumProbes {
      let slot = layout.mergeTable + 16 * ((first + step) & mask)
      let found = word(slot)
      if found == wanted.0 && word(slot + 4) == wanted.1 {
        return (word(slot + 8), Int32(bitPattern: word(slot + 12)))
      }
      if found == .max { break }
    }
    return (.max, -1)
  }

  /// The ids that the post-processor puts before a text.
  var prefix: [Int32] { ids(layout.prefix, layout.prefixCount) }
  /// The ids that it puts after a text.
  var suffix: [Int32] { ids(layout.suffix, layout.suffixCount) }

  private func ids(_ start: Int, _ count: Int) -> [Int32] {
    (0..<count).map { Int32(bitPattern: word(start + 4 * $0)) }
  }
}
