/// Walks the fields of a protocol buffer message (protobuf.dev/programming-guides/encoding).
///
/// Every length is compared with the bytes that remain before it is used; nothing is copied.
struct ProtocolBuffer {
  enum Value {
    case number(UInt64)
    /// A 32-bit word; 64-bit ones are skipped.
    case word(UInt32)
    case bytes(Range<Int>)
  }

  private let bytes: [UInt8]
  private let end: Int
  private let path: String
  private(set) var position: Int

  init(_ bytes: [UInt8], _ range: Range<Int>, path: String) {
    self.bytes = bytes
    self.path = path
    position = range.lowerBound
    end = range.upperBound
  }

  private func failure(_ expected: String, _ found: String) -> TokenizerError {
    .invalidField(path: path, field: "byte \(position)", expected: expected, found: found)
  }

  /// The next field and its number, or nil at the end.
  mutating func next() throws(TokenizerError) -> (field: Int, value: Value)? {
    while position < end {
      let key = try variable()
      let field = Int(truncatingIfNeeded: key >> 3 & 0x1fff_ffff)
      switch key & 7 {
      case 0: return (field, .number(try variable()))
      case 1:
        guard end - position >= 8 else { throw failure("8 bytes", "\(end - position)") }
        position += 8
      case 2:
        let count = try variable()
        guard count <= UInt64(end - position) else {
          throw failure("a length of at most \(end - position)", "\(count)")
        }
        let start = position
        position += Int(count)
        return (field, .bytes(start..<position))
      case 5:
        guard end - position >= 4 else { throw failure("4 bytes", "\(end - position)") }
        let word = (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[position + $1]) << UInt32(8 * $1) }
        position += 4
        return (field, .word(word))
      case let kind: throw failure("a field of wire type 0, 1, 2 or 5", "\(kind)")
      }
    }
    return nil
  }

  private mutating func variable() throws(TokenizerError) -> UInt64 {
    var value: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 70, by: 7) {
      guard position < end else { throw failure("a number", "the end") }
      let byte = bytes[position]
      position += 1
      // Bits beyond the 64th are lost, as in the reference.
      value |= UInt64(byte & 0x7f) << shift
      if byte < 0x80 { return value }
    }
    throw failure("a number of at most 10 bytes", "a longer one")
  }
}
