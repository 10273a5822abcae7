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
      let tokens = tokenizer.vocabularySize
      if tokens > rows {
        throw QuantizerError.vocabularyMismatch(
          tokenizer: path.string, tokens: tokens, embeddingRows: rows)
      }
      return (
        tokenizer,
        tokens == rows
          ? [] : ["the embedding table has \(rows) rows for \(tokens) tokens: the rest is padding"]
      )
    }
  }
}
