import EmberTokenizer
import SystemPackage

extension Checkpoint {
  /// The tokenizer that belongs to the weights.
  ///
  /// - Parameter checkpoint: the path that errors name.
  /// - Throws: `TokenizerError`, `QuantizerError.tokenizerMissing`, `.vocabularyMismatch`
  func openTokenizer(checkpoint: FilePath) throws -> (Tokenizer, warnings: [String]) {
    let rows = architecture.vocabularySize
    switch tokenizerSource {
    case nil:
      throw QuantizerError.tokenizerMissing(checkpoint: checkpoint.string)
    case .llama2c(let path):
      return (try Tokenizer.llama2c(contentsOf: path, vocabularySize: rows), [])
    case .huggingFace(let path):
      let tokenizer = try Tokenizer.huggingFace(
        tokenizerJSON: path, beginOfSequence: beginOfSequence, endOfSequence: endOfSequence)
      return (tokenizer, try paddingWarnings(tokenizer, path: path))
    case .marian(let folder):
      let tokenizer = try marianTokenizer(folder, TokenizerSource.marianSource)
      return (tokenizer, try paddingWarnings(tokenizer, path: folder))
    case .sentinels(let path, let count):
      let tokenizer = try Tokenizer.sentencePiece(
        contentsOf: path, sentinels: count, vocabularySize: rows)
      return (tokenizer, try paddingWarnings(tokenizer, path: path))
    case .other(let path):
      guard let tokenizer = try Tokenizer.file(path) else {
        throw TokenizerError.unsupported(
          path: path.string, field: "the file", found: "none of these",
          supported: "SentencePiece and tiktoken models")
      }
      return (tokenizer, try paddingWarnings(tokenizer, path: path))
    case .gguf(let vocabulary, let path):
      let tokenizer = try Tokenizer.gguf(vocabulary, path: path.string)
      return (tokenizer, try paddingWarnings(tokenizer, path: path))
    }
  }

  /// The tokenizer of a model file: the model's own, and that of its targets where it is another.
  func serialized(_ tokenizer: Tokenizer) throws -> [UInt8] {
    guard case .marian(let folder) = tokenizerSource else { return tokenizer.serialized() }
    return tokenizer.serialized()
      + (try marianTokenizer(folder, TokenizerSource.marianTarget)).serialized()
  }

  private func marianTokenizer(
    _ folder: FilePath, _ pieces: String
  ) throws(TokenizerError) -> Tokenizer {
    try Tokenizer.marian(
      pieces: folder.appending(pieces),
      vocabulary: folder.appending(TokenizerSource.marianVocabulary),
      endOfSequence: endOfSequence)
  }

  /// Says that the embedding table has more rows than there are tokens; fewer are an error.
  private func paddingWarnings(_ tokenizer: Tokenizer, path: FilePath) throws -> [String] {
    let rows = architecture.vocabularySize
    let tokens = tokenizer.vocabularySize
    if tokens > rows {
      throw QuantizerError.vocabularyMismatch(
        tokenizer: path.string, tokens: tokens, embeddingRows: rows)
    }
    return tokens == rows
      ? [] : ["the embedding table has \(rows) rows for \(tokens) tokens: the rest is padding"]
  }
}

extension TokenizerSource {
  static let marianSource = "source.spm"
  static let marianTarget = "target.spm"
  static let marianVocabulary = "vocab.json"
}
