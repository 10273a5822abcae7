public import EmberModel
public import EmberTokenizer

/// Continues a prompt with the texts that are most probable as a whole: beam search.
///
/// ```swift
/// let generator = BeamGenerator(
///   model: model, tokenizer: tokenizer,
///   session: try ParallelSession(model: model, sequences: 4))
/// let texts = try generator.generate(
///   prompt: "She opened the door and", search: BeamSearchOptions(beams: 4, returned: 2),
///   options: .init(maximumTokens: 32))
/// ```
///
/// One pass over the weights computes a token of all beams. A beam that goes on from another's text
/// takes over its key/value cache from where the two differ. Nothing is random: of the sampling
/// options only bias and penalties count, and they change log-probabilities, as in transformers,
/// whose results these are on the same logits.
public final class BeamGenerator {
  private let tokenizer: Tokenizer
  private let session: ParallelSession

  /// - Parameter session: of the same model, with as many sequences as there will be beams.
  public init(model: Model, tokenizer: Tokenizer, session: ParallelSession) {
    precondition(model === session.model, "the session is of another model")
    self.tokenizer = tokenizer
    self.session = session
  }

  /// One of the texts, best first.
  public struct Text: Sendable {
    public let promptTokens: Int
    /// Without the one that ended it.
    public let ids: [Int32]
    /// Without the prompt.
    public let text: String
    /// log p, divided by the length's power; the token that ended it counts.
    public let score: Double
    public let stopReason: TextGenerator.StopReason
  }

  /// - Parameters:
  ///   - options: without stop strings and grammar. A search without a most number of tokens ends
  ///     where the context does.
  ///   - isCancelled: asked before each step; then there are no texts.
  ///   - progress: called after each step with the tokens of each beam.
  /// - Throws: `GenerationError`, `ModelError`
  public func generate(
    prompt: String, search options: BeamSearchOptions, options generation: TextGenerator.Options,
    isCancelled: () -> Bool = { false }, progress: (_ tokens: Int) -> Void = { _ in }
  ) throws -> [Text] {
    let generation = generation.forbidding(session.model.architecture.suppressedTokens)
    try check(options, generation)
    let prompt = try session.begin(prompt, tokenizer)
    let room = session.contextLength - prompt.count + 1
    let maximum = min(generation.maximumTokens ?? .max, room)
    if maximum == 0 { return [] }
    let ends = endTokens(generation)
    var search = BeamSearch(options, maximumTokens: maximum, endTokens: ends)
    var sampler = Sampler(
      options: generation.sampling, seed: 0, promptLength: prompt.count, kernels: session.kernels)
    guard var first = try session.read(prompt: prompt, isCancelled: isCancelled) else { return [] }
    let row = try first.withUnsafeMutableBufferPointer { logits throws(GenerationError) in
      try Self.scores(logits, prompt, &sampler)
    }
    for slot in 1..<max(1, options.beams) { session.copy(sequence: 0, to: slot) }
    search.advance([[Float]](repeating: row, count: options.beams))
    // The sequence of the session that holds each beam's text but for its last token.
    var slots = Array(0..<options.beams)
    var tokens = 1
    while !search.isDone {
      progress(tokens)
      if isCancelled() { return [] }
      slots = rearrange(slots, search.running, promptLength: prompt.count)
      let beams = search.running
      let logits = try session.append(
        beams.indices.map { beam in
          .init(sequence: slots[beam], tokens: beams[beam].ids.suffix(1), wantsLogits: true)
        })
      var rows: [[Float]] = []
      for (index, beam) in beams.enumerated() {
        rows.append(try Self.scores(logits[index], prompt + beam.ids, &sampler))
      }
      search.advance(rows)
      tokens += 1
    }
    return search.best.filter(\.isFinished).map { beam in
      text(beam, prompt, generation, isFull: maximum == room)
    }
  }

  /// - Throws: `GenerationError.invalidOption`
  private func check(
    _ options: BeamSearchOptions, _ generation: TextGenerator.Options
  ) throws(GenerationError) {
    try options.validate()
    try generation.validate(vocabularySize: session.model.architecture.vocabularySize)
    if options.beams > session.sequenceCount {
      throw .invalidOption(
        name: "beams", expected: "at most \(session.sequenceCount), the sequences of the session",
        found: "\(options.beams)")
    }
    if !generation.stopStrings.isEmpty || generation.grammar != nil {
      throw .invalidOption(
        name: "beams", expected: "neither stop texts nor a grammar with it", found: "one of them")
    }
  }

  private func endTokens(_ options: TextGenerator.Options) -> [Int32] {
    let own =
      options.stopsAtEndOfSequence
      ? [tokenizer.endOfSequence, tokenizer.beginOfSequence].compactMap { $0 } : []
    return Array(Set(options.stopTokens + own)).sorted()
  }

  private static func scores(
    _ logits: UnsafeMutableBufferPointer<Float>, _ history: [Int32], _ sampler: inout Sampler
  ) throws(GenerationError) -> [Float] {
    var scores = try LogProbabilities.of(logits, position: history.count)
    scores.withUnsafeMutableBufferPointer { sampler.process($0, history: history) }
    return scores
  }

  /// Gives every beam a sequence that holds its text but for the last token.
  ///
  /// - Parameter slots: of the beams before.
  private func rearrange(
    _ slots: [Int], _ beams: [BeamSearch.Beam], promptLength: Int
  ) -> [Int] {
    // The first that goes on from a text keeps its place; the others take places whose texts nothing
    // goes on from.
    var isTaken = [Bool](repeating: false, count: slots.count)
    var result = [Int?](repeating: nil, count: beams.count)
    for (index, beam) in beams.enumerated() where !isTaken[beam.parent] {
      isTaken[beam.parent] = true
      result[index] = slots[beam.parent]
    }
    var free = slots.indices.filter { !isTaken[$0] }.map { slots[$0] }
    return beams.indices.map { index in
      if let slot = result[index] { return slot }
      let target = free.removeLast()
      session.copy(sequence: slots[beams[index].parent], to: target, from: promptLength)
      return target
    }
  }

  private func text(
    _ beam: BeamSearch.Beam, _ prompt: [Int32], _ options: TextGenerator.Options, isFull: Bool
  ) -> Text {
    var ids = beam.ids
    var reason = isFull ? TextGenerator.StopReason.contextFull : .maximumTokens
    if let last = ids.last, let end = options.reasonToStop(at: last, tokenizer) {
      ids.removeLast()
      reason = end
    }
    var decoder = tokenizer.streamDecoder(after: prompt.last)
    let text = ids.reduce(into: "") { $0 += decoder.append($1) } + decoder.finish()
    return Text(
      promptTokens: max(prompt.count, session.sourceLength), ids: ids, text: text,
      score: Double(beam.score), stopReason: reason)
  }
}
