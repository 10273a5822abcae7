import EmberKernels
import EmberTokenizer

/// One of the texts that are made together: what it has, and what it needs next.
struct ParallelText {
  let index: Int
  let seed: UInt64
  /// Prompt and text.
  private(set) var history: [Int32]
  /// Tokens of the history that are in the cache.
  var readTokens = 0
  private(set) var ids: [Int32] = []
  /// Set when the text has ended or failed.
  private(set) var result: ParallelGenerator.Result?
  private let promptTokens: Int
  /// What a result says of the prompt: of an encoder–decoder, its source.
  private let givenTokens: Int
  private let options: TextGenerator.Options
  private let tokenizer: Tokenizer
  private var sampler: Sampler
  private var output: TextOutput
  private var matcher: GrammarMatcher?

  init(
    index: Int, seed: UInt64, prompt: [Int32], sourceTokens: Int = 0,
    options: TextGenerator.Options,
    tokenizer: Tokenizer, kernels: Kernels, grammarTokens: GrammarTokens? = nil
  ) throws(GenerationError) {
    self.index = index
    self.seed = seed
    history = prompt
    promptTokens = prompt.count
    givenTokens = max(prompt.count, sourceTokens)
    self.options = options
    self.tokenizer = tokenizer
    sampler = Sampler(
      options: options.sampling, seed: seed, promptLength: prompt.count, kernels: kernels)
    output = TextOutput(tokenizer, after: prompt, stopStrings: options.stopStrings)
    if let grammar = options.grammar, let grammarTokens {
      matcher = try GrammarMatcher(grammar, grammarTokens, after: prompt.last)
    }
  }

  /// Whether tokens of the prompt are missing in the cache.
  var isReading: Bool { readTokens < promptTokens }

  /// What the next step computes; nothing if this is a prompt and there is no room.
  func nextTokens(atMost room: Int) -> [Int32] {
    let end = isReading ? min(promptTokens, readTokens + max(0, room)) : history.count
    return Array(history[readTokens..<end])
  }

  /// Chooses a token from the logits after the last, and notices the end; as `TextGenerator` does.
  mutating func choose(_ logits: UnsafeMutableBufferPointer<Float>, contextLength: Int) {
    do {
      guard try !isComplete else { return }
      try matcher?.restrict(logits, position: history.count, options, tokenizer)
      let id = try sampler.next(logits, history: history)
      if let reason = options.reasonToStop(at: id, tokenizer) { return try finish(reason) }
      history.append(id)
      try matcher?.accept(id)
      ids.append(id)
      if try output.append(id, { _ in }) { return try finish(.stopString) }
      guard try !isComplete else { return }
      if readTokens >= contextLength { try finish(.contextFull) }
    } catch {
      result = .init(index: index, seed: seed, text: .failure(error))
    }
  }

  /// Ends the text where the grammar does, or where it has as many tokens as were asked for.
  private var isComplete: Bool {
    mutating get throws {
      if matcher?.isComplete ?? false {
        try finish(.grammarComplete)
        return true
      }
      guard let maximum = options.maximumTokens, ids.count >= maximum else { return false }
      try finish(.maximumTokens)
      return true
    }
  }

  /// The text as far as it has come.
  func cancelled() -> ParallelGenerator.Result? {
    var text = self
    try? text.finish(.cancelled)
    return text.result
  }

  private mutating func finish(_ reason: TextGenerator.StopReason) throws {
    if reason != .stopString { try output.finish { _ in } }
    result = .init(
      index: index, seed: seed,
      text: .success(
        .init(promptTokens: givenTokens, ids: ids, text: output.text, stopReason: reason)))
  }
}
