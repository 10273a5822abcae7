/// Stepping through text that is known to be UTF-8, and finding where unfinished text ends.
enum UTF8Decoding {
  /// The code point that begins at `index` of valid UTF-8, and its length in bytes.
  @inline(__always)
  static func scalar(
    _ text: UnsafeBufferPointer<UInt8>, _ index: Int
  ) -> (point: UInt32, byteCount: Int) {
    let lead = UInt32(text[index])
    if lead < 0x80 { return (lead, 1) }
    let second = UInt32(text[index + 1] & 0x3f)
    if lead < 0xe0 { return ((lead & 0x1f) << 6 | second, 2) }
    let third = UInt32(text[index + 2] & 0x3f)
    if lead < 0xf0 { return ((lead & 0x0f) << 12 | second << 6 | third, 3) }
    let fourth = UInt32(text[index + 3] & 0x3f)
    return ((lead & 0x07) << 18 | second << 12 | third << 6 | fourth, 4)
  }

  /// How many bytes a character has, by its first byte, in valid UTF-8.
  @inline(__always)
  static func byteCount(lead: UInt8) -> Int {
    lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4
  }

  /// How many bytes at the end of `bytes` begin a character that more bytes could complete
  /// (Unicode, table 3-7: well-formed sequences): 0 to 3. What stands before them decodes the same
  /// whatever follows.
  static func unfinishedByteCount(_ bytes: [UInt8]) -> Int {
    for length in 1...3 where length <= bytes.count {
      let byte = bytes[bytes.count - length]
      if byte & 0xc0 == 0x80 { continue }
      return canBegin(bytes.suffix(length)) ? length : 0
    }
    return 0
  }

  private static func canBegin(_ bytes: ArraySlice<UInt8>) -> Bool {
    guard let lead = bytes.first, lead >= 0xc2, lead <= 0xf4 else { return false }
    if bytes.count >= byteCount(lead: lead) { return false }
    guard bytes.count > 1 else { return true }
    // The loop above leaves only continuation bytes after the lead; the second has narrower limits.
    let second = bytes[bytes.startIndex + 1]
    switch lead {
    case 0xe0: return second >= 0xa0
    case 0xed: return second <= 0x9f
    case 0xf0: return second >= 0x90
    case 0xf4: return second <= 0x8f
    default: return true
    }
  }
}
