extension Tokenizer {
  /// The tokenizer of a GGUF file's vocabulary.
  ///
  /// - Parameter path: of the file, which errors name.
  /// - Throws: `unsupported`
  public static func gguf(
    _ vocabulary: GGUFVocabulary, path: String
  ) throws(TokenizerError) -> Tokenizer {
    throw .unsupported(
      path: path, field: "tokenizer.ggml.model", found: vocabulary.model, supported: "none yet")
  }
}
