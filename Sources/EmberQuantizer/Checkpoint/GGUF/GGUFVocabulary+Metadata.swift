import EmberTokenizer

extension GGUFVocabulary {
  /// The vocabulary in a GGUF file's metadata, nil where there is none.
  ///
  /// Keys of other types than the format gives them count as absent: what the tokenizer then lacks,
  /// it says itself.
  init?(_ metadata: [String: GGUFValue]) {
    func value(_ key: String) -> GGUFValue? { metadata["tokenizer.ggml." + key] }
    func bytes(_ key: String) -> [UInt8]? {
      if case .string(let bytes)? = value(key) { bytes } else { nil }
    }
    func strings(_ key: String) -> [[UInt8]]? {
      guard case .strings(let strings)? = value(key) else { return nil }
      return (0..<strings.count).map { Array(strings[$0]) }
    }
    func integer(_ key: String) -> Int? {
      if case .integer(let integer)? = value(key) { integer } else { nil }
    }
    func boolean(_ key: String) -> Bool? {
      if case .boolean(let boolean)? = value(key) { boolean } else { nil }
    }
    guard let model = bytes("model"), let tokens = strings("tokens") else { return nil }
    self.init(model: String(decoding: model, as: UTF8.self), tokens: tokens)
    preTokenizer = bytes("pre").map { String(decoding: $0, as: UTF8.self) }
    if case .numbers(let scores)? = value("scores") { self.scores = scores }
    if case .integers(let types)? = value("token_type") {
      tokenTypes = types.map { Int32(clamping: $0) }
    }
    merges = strings("merges") ?? []
    beginOfSequence = integer("bos_token_id")
    endOfSequence = integer("eos_token_id")
    unknown = integer("unknown_token_id")
    separator = integer("seperator_token_id")
    padding = integer("padding_token_id")
    classification = integer("cls_token_id")
    mask = integer("mask_token_id")
    addsBeginOfSequence = boolean("add_bos_token")
    addsEndOfSequence = boolean("add_eos_token")
    addsSpacePrefix = boolean("add_space_prefix")
    removesExtraWhitespaces = boolean("remove_extra_whitespaces")
    if case .integers(let map)? = value("precompiled_charsmap") {
      precompiledCharacterMap = map.map { UInt8(truncatingIfNeeded: $0) }
    }
  }
}
