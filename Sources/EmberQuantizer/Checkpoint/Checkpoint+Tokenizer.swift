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
      return (tokenizer, try warnings(of: tokenizer, path: path))
    case .marian(let folder):
      let tokenizer = try marianTokenizer(folder, TokenizerSource.marianSource)
      return (tokenizer, try warnings(of: tokenizer, path: folder))
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

  private func warnings(of tokenizer: Tokenizer, path: FilePath) throws -> [String] {
    let (tokens, rows) = (tokenizer.vocabularySize, architecture.vocabularySize)
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
