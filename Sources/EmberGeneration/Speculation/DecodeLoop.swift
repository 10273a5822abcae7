import EmberModel
import EmberTokenizer

/// From the logits of a prompt to the end of the text: pass after pass over the weights, each with
/// the last token and what is guessed to follow it.
///
/// Every token is drawn from the logits after the text before it, which are the same bits in a pass
/// of one token and of many, with the next random number. So guesses change neither the text nor
/// why it ends.
struct DecodeLoop {
  let session: InferenceSession
  let options: TextGenerator.Options
  var sampler: Sampler
  let speculator: Speculator?
  /// The text, prompt included.
  var history: [Int32]
  private let tokenizer: Tokenizer
  /// Where the text stands in the grammar, if there is one.
  private var matcher: GrammarMatcher?
  /// The last token and what may follow it.
  private var pass: [Int32] = []
  /// What was drawn in the pass.
  private var chosen: [Int32] = []

  init(
    session: InferenceSession, options: TextGenerator.Options, speculation: Speculation?,
    prompt: [Int32], tokenizer: Tokenizer
  ) throws(GenerationError) {
    self.session = session
    self.options = options
    self.tokenizer = tokenizer
    if let grammar = options.grammar {
      let size = session.model.architecture.vocabularySize
      matcher = try GrammarMatcher(
        grammar, GrammarTokens(tokenizer, vocabularySize: size), after: prompt.last)
    }
    sampler = Sampler(
      options: options.sampling, seed: options.seed, promptLength: prompt.count,
      kernels: session.kernels)
    history = prompt
    // Room for the whole text, so that a token allocates nothing.
    let room = min(options.maximumTokens ?? .max, session.contextLength - session.position + 1)
    history.reserveCapacity(prompt.count + room)
    speculator = speculation.map {
      Speculator(
        $0, history: prompt, options: options.sampling, capacity: prompt.count + room,
        chunkLength: session.chunkLength)
    }
    let longest = (speculator?.longestDraft ?? 0) + 1
    pass.reserveCapacity(longest)
    chosen.reserveCapacity(longest)
  }

  /// Goes on until there is a reason to stop.
  ///
  /// - Parameters:
  ///   - logits: after the prompt.
  ///   - take: takes a token of the text; whether a stop string is complete.
  mutating func run(
    _ logits: UnsafeMutableBufferPointer<Float>, _ result: inout TextGenerator.Result,
    _ isCancelled: () -> Bool, take: (Int32) throws -> Bool
  ) throws -> TextGenerator.StopReason {
    let clock = ContinuousClock()
    result.ids.reserveCapacity(history.capacity - history.count)
    defer { result.speculation = speculator?.statistics }
    var isFirst = true
    while true {
      let remaining = options.maximumTokens.map { $0 - result.ids.count } ?? .max
      if matcher?.isComplete ?? false { return .grammarComplete }
      if remaining <= 0 { return .maximumTokens }
      if isCancelled() { return .cancelled }
      let before = history.count
      chosen.removeAll(keepingCapacity: true)
      var failure: (any Error)?
      if isFirst {
        _ = try choose(logits)
        for id in chosen { speculator?.observe(id) }
      } else {
        let room = session.contextLength - session.position
        if room < 1 { return .contextFull }
        let start = clock.now
        failure = try decode(limit: min(remaining, room) - 1)
        result.decodeSeconds += (clock.now - start).seconds
        result.decodePasses += 1
      }
      for (index, id) in chosen.enumerated() {
        if !isFirst { result.decodeSteps += 1 }
        if let reason = options.reasonToStop(at: id, tokenizer) { return reason }
        result.ids.append(id)
        if try take(id) {
          // What was chosen beyond it is no part of the text.
          history.removeLast(history.count - (before + index + 1))
          session.truncate(to: history.count - 1)
          return .stopString
        }
      }
      if let failure { throw failure }
      isFirst = false
    }
  }

  /// One pass over the weights: at least one more token.
  ///
  /// - Returns: what went wrong after the tokens that were chosen; they are part of the text still.
  private mutating func decode(limit: Int) throws -> (any Error)? {
    guard let last = history.last else { return nil }
    pass.removeAll(keepingCapacity: true)
    pass.append(last)
    speculator?.propose(into: &pass, history: history, sampler: sampler, limit: limit)
    var accepted = 0
    var failure: (any Error)?
    try session.appendPrefix(of: pass) { index, logits in
      do {
        let id = try choose(logits)
        guard index + 1 < pass.count, pass[index + 1] == id else { return false }
        accepted += 1
        if matcher?.isComplete ?? false { return false }
        return options.reasonToStop(at: id, tokenizer) == nil
      } catch {
        failure = error
        return false
      }
    }
    speculator?.record(chosen, accepted: accepted)
    return failure
  }

  /// Draws the next token.
  private mutating func choose(
    _ logits: UnsafeMutableBufferPointer<Float>
  ) throws(GenerationError) -> Int32 {
    try matcher?.restrict(logits, position: history.count, options, tokenizer)
    let id = try sampler.next(logits, history: history)
    chosen.append(id)
    if options.reasonToStop(at: id, tokenizer) == nil {
      history.append(id)
      try matcher?.accept(id)
    }
    return id
  }
}
