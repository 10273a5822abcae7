import EmberModel
import EmberTokenizer

extension Tokenizer {
  /// The tokens of an encoder–decoder's source: the text's own and the end of the sequence.
  package func sourceTokens(_ text: String) -> [Int32] { withEnd(encode(text)) }

  /// The tokens of its target, without the one that it begins with.
  package func targetTokens(_ text: String) -> [Int32] {
    withEnd(encode(text, addingBeginOfSequence: false, parsingSpecialTokens: false))
  }

  private func withEnd(_ tokens: [Int32]) -> [Int32] {
    guard let end = endOfSequence, tokens.last != end else { return tokens }
    return tokens + [end]
  }
}

extension Model {
  /// The source of an encoder–decoder and what its text begins with; nil for other models.
  func sourceAndStart(
    _ text: String, _ tokenizer: Tokenizer
  ) -> (source: [Int32], start: [Int32])? {
    guard architecture.encoder != nil, let start = architecture.decoderStart else { return nil }
    return (tokenizer.sourceTokens(text), [Int32(start)])
  }
}

extension ParallelSession {
  /// What a text begins with: the prompt, or of an encoder–decoder, which takes the prompt for its
  /// source and computes that now, the token that every text begins with.
  ///
  /// - Throws: `GenerationError.promptTooLong`, `ModelError`
  func begin(_ prompt: String, _ tokenizer: Tokenizer) throws -> [Int32] {
    guard let (source, start) = model.sourceAndStart(prompt, tokenizer) else {
      return try tokenizer.promptTokens(prompt, contextLength: contextLength)
    }
    try encode(source)
    return start
  }
}

extension TextGenerator.Options {
  /// The same, and tokens that the model never generates are forbidden.
  func forbidding(_ tokens: [Int]?) -> Self {
    guard let tokens, !tokens.isEmpty else { return self }
    var result = self
    result.sampling.logitBias += tokens.map { .init(id: Int32($0), value: -.infinity) }
    return result
  }
}
