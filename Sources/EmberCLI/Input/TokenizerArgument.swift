import Ember

/// The tokenizer of a model file, or a tokenizer's own file.
enum TokenizerArgument {
  /// - Throws: `FormatError`, `LoadingError`, `TokenizerError`, `CheckpointError`
  static func open(_ path: FilePath) throws -> Tokenizer {
    do throws(TokenizerError) {
      if let tokenizer = try Tokenizer.file(path) { return tokenizer }
    } catch {
      // What cannot be read is for the model's reader to say: its words are those of all commands.
      if ["json", "model", "bin", "spm", "tiktoken"].contains(path.extension ?? "") { throw error }
    }
    if path.extension == "gguf" { return try Tokenizer.gguf(contentsOf: path) }
    return try LoadedModel(opening: path).tokenizer
  }
}
