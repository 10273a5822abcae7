import EmberModel
public import EmberTokenizer

extension Tokenizer {
  /// A prompt's tokens, encoded the tokenizer's own way. An empty one is the beginning of a
  /// sequence, where the tokenizer knows such a token.
  ///
  /// - Throws: `GenerationError.promptTooLong`, `ModelError.noTokens`
  func promptTokens(_ prompt: String, contextLength: Int) throws -> [Int32] {
    var tokens = encode(prompt)
    if tokens.isEmpty, let begin = beginOfSequence { tokens = [begin] }
    if tokens.isEmpty { throw ModelError.noTokens }
    if tokens.count > contextLength {
      throw GenerationError.promptTooLong(tokens: tokens.count, context: contextLength)
    }
    return tokens
  }

  /// Positions that a prompt and the tokens behind it take at most; nil where these are not limited.
  public func neededPositions(prompt: String, maximumTokens: Int?) -> Int? {
    guard let maximumTokens else { return nil }
    let (sum, overflows) = max(1, encode(prompt).count).addingReportingOverflow(maximumTokens)
    return overflows ? nil : sum
  }

  /// Whether the token ends a text, or begins the next.
  func endsSequence(_ id: Int32) -> Bool { id == endOfSequence || id == beginOfSequence }
}
