/// GPT-2's printable stand-ins for the 256 bytes (Radford et al. 2019, `bytes_to_unicode`): printable
/// Latin-1 characters stand for themselves, the other bytes, in order, for U+0100 and on.
enum ByteAlphabet {
  /// The code point of each byte.
  static let characters: [UInt32] = {
    var characters: [UInt32] = []
    var moved: UInt32 = 0x100
    for byte in UInt32(0)..<256 {
      let isPrintable =
        (0x21...0x7e).contains(byte) || (0xa1...0xac).contains(byte) || (0xae...0xff).contains(byte)
      characters.append(isPrintable ? byte : moved)
      if !isPrintable { moved += 1 }
    }
    return characters
  }()

  private static let bytes: [UInt8?] = {
    var bytes = [UInt8?](repeating: nil, count: 0x144)
    for (byte, character) in characters.enumerated() { bytes[Int(character)] = UInt8(byte) }
    return bytes
  }()

  /// The bytes that a piece of the vocabulary stands for; nil if a character of it is no stand-in.
  static func bytes(_ piece: String) -> [UInt8]? {
    var result: [UInt8] = []
    for scalar in piece.unicodeScalars {
      guard Int(scalar.value) < bytes.count, let byte = bytes[Int(scalar.value)] else { return nil }
      result.append(byte)
    }
    return result
  }

  /// SentencePiece's name for a byte: `<0x0A>`.
  static func bytePiece(_ byte: UInt8) -> [UInt8] {
    let digits = Array("0123456789ABCDEF".utf8)
    return Array("<0x".utf8) + [digits[Int(byte >> 4)], digits[Int(byte & 15)], UInt8(ascii: ">")]
  }
}
