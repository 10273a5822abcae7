extension Tokenizer {
  /// Opens the tokenizer of a model and, where targets have one of their own, that one: its stored form
  /// lies behind the first.
  ///
  /// - Throws: as `init(serialized:)`.
  public static func pair(
    serialized bytes: [UInt8]
  ) throws(TokenizerError) -> (Tokenizer, target: Tokenizer?) {
    let reader = SerializedReader(bytes)
    let first = bytes.count >= SerializedLayout.headerByteCount ? Int(reader.word(12)) : 0
    guard first >= SerializedLayout.headerByteCount, first < bytes.count else {
      return (try Tokenizer(serialized: bytes), nil)
    }
    return (
      try Tokenizer(serialized: Array(bytes[..<first])),
      try Tokenizer(serialized: Array(bytes[first...]))
    )
  }
}
