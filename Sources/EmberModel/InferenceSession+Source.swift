import EmberKernels

extension InferenceSession {
  /// Tokens of the source that an encoder–decoder attends to; 0 before the first.
  public var sourceLength: Int { source?.length ?? 0 }

  /// Computes the source of an encoder–decoder, and forgets the text so far: what is appended then
  /// answers this source.
  ///
  /// ```swift
  /// try session.encode(source)          // its end token included
  /// let logits = try session.append([decoderStart])
  /// ```
  ///
  /// The whole source goes through the encoder in one pass, which no other call can interrupt.
  ///
  /// - Throws: `ModelError.noEncoder`, `.noTokens`, `.sourceTooLong`, `.unknownToken`, `.outOfMemory`;
  ///   then there is no source. `.reading`, after which the session is of no more use.
  public func encode(_ source: [Int32]) throws(ModelError) {
    try encode(source) { _ in }
  }

  /// The same, and shows the encoder's output, [tokens][width].
  package func encode(
    _ tokens: [Int32], observe: (Activations) -> Void
  ) throws(ModelError) {
    guard let source else { throw .noEncoder }
    truncate(to: 0)
    try source.encode(
      tokens, team: team, workers: choosesThreads ? nil : threadCount, observe: observe)
  }
}

extension ParallelSession {
  /// Tokens of the source that an encoder–decoder attends to; 0 before the first.
  public var sourceLength: Int { source?.length ?? 0 }

  /// Computes the source that all sequences of an encoder–decoder answer, as beams do, and forgets
  /// their texts so far.
  ///
  /// - Throws: as `InferenceSession.encode`.
  public func encode(_ tokens: [Int32]) throws(ModelError) {
    guard let source else { throw .noEncoder }
    for sequence in 0..<sequenceCount { reset(sequence: sequence) }
    try source.encode(tokens, team: team, workers: choosesThreads ? nil : threadCount)
  }
}
