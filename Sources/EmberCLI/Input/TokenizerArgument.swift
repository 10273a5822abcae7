import Ember

/// The tokenizer of a model file, or a tokenizer's own file.
enum TokenizerArgument {
  /// - Throws: `FormatError`, `LoadingError`, `TokenizerError`
  static func open(_ path: FilePath) throws -> Tokenizer {
    // What cannot be read is for the model's reader to say: its words are those of all commands.
    if let tokenizer = try? Tokenizer.file(path) { return tokenizer }
    if ["json", "model", "bin", "spm", "tiktoken"].contains(path.extension ?? ""),
      let tokenizer = try Tokenizer.file(path)
    {
      return tokenizer
    }
    return try LoadedModel(opening: path).tokenizer
  }
}
