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

extension InferenceSession {
  /// The source of an encoder–decoder and what its text begins with; nil for other models.
  func sourceAndStart(
    _ text: String, _ tokenizer: Tokenizer
  ) -> (source: [Int32], start: [Int32])? {
    guard model.architecture.encoder != nil, let start = model.architecture.decoderStart
    else { return nil }
    return (tokenizer.sourceTokens(text), [Int32(start)])
  }
}
