import EmberGeneration
public import EmberModel

extension InferenceSession {
  /// Tokens per second of decoding one token at a time, from an empty context.
  ///
  /// The session starts anew and is empty afterwards. One step goes before and is not counted: it
  /// brings the weights into memory. The count is cut to what fits in the context; which tokens
  /// they are does not matter for the speed.
  ///
  /// - Throws: `ModelError.noTokens` for a count below one or a context of one position.
  public func decodeSpeed(tokens: Int) throws -> Double {
    let count = min(tokens, contextLength - 1)
    if count < 1 { throw ModelError.noTokens }
    truncate(to: 0)
    defer { truncate(to: 0) }
    _ = try append([0])
    let clock = ContinuousClock()
    let start = clock.now
    for i in 1...count {
      _ = try append([Int32(truncatingIfNeeded: i % model.architecture.vocabularySize)])
    }
    return Double(count) / max((clock.now - start).seconds, 1e-9)
  }
}
