import EmberTokenizer
import SystemPackage

extension Tokenizer {
  /// The tokenizer in the metadata of a GGUF file, which needs to hold nothing else.
  ///
  /// - Throws: `CheckpointError` where the file cannot be read or is damaged; `TokenizerError` where
  ///   it has no vocabulary, or one that is not supported.
  public static func gguf(contentsOf path: FilePath) throws -> Tokenizer {
    guard let vocabulary = GGUFVocabulary(try GGUFFile(opening: path).metadata) else {
      throw TokenizerError.unsupported(
        path: path.string, field: "tokenizer.ggml", found: "no vocabulary",
        supported: "tokenizer.ggml.model and tokenizer.ggml.tokens")
    }
    return try gguf(vocabulary, path: path.string)
  }
}
