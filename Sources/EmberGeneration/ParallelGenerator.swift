public import EmberModel
public import EmberTokenizer

/// Continues many prompts together, so that one pass over the weights makes a token of each.
///
/// ```swift
/// let generator = ParallelGenerator(
///   model: model, tokenizer: tokenizer,
///   session: try ParallelSession(model: model, sequences: 8))
/// try generator.generate(prompts: prompts, options: .init(maximumTokens: 64, seed: 3)) { result in
///   print(result.index, try result.text.get().text)
/// }
/// ```
///
/// As many prompts are in work as the session has sequences; when a text ends, the next prompt takes
/// its place at once, and its tokens are computed beside the others' next ones (continuous batching:
/// Yu et al. 2022, *Orca*). Results come in the order of the prompts. Each text is exactly what
/// `TextGenerator` makes of the same prompt with the seed that its result names.
public final class ParallelGenerator {
  let tokenizer: Tokenizer
  let session: ParallelSession

  /// - Parameter session: of the same model; the prompts start its sequences anew.
  public init(model: Model, tokenizer: Tokenizer, session: ParallelSession) {
    precondition(model === session.model, "the session is of another model")
    self.tokenizer = tokenizer
    self.session = session
  }

  /// A continued prompt, or why there is none.
  public struct Result: Sendable {
    /// Of the prompt, from 0.
    public let index: Int
    /// Reproduces the text with `TextGenerator`.
    public let seed: UInt64
    /// `GenerationError`, or `ModelError.noTokens`: about this prompt, not about the others.
    public let text: Swift.Result<Text, any Error>
  }

  public struct Text: Sendable {
    public let promptTokens: Int
    /// Without the one that ended the sequence.
    public let ids: [Int32]
    /// Without the prompt.
    public let text: String
    public let stopReason: TextGenerator.StopReason
  }

  /// What has been computed so far, results that were not handed out yet included.
  public struct Progress: Sendable {
    /// Prompts whose results were handed out.
    public var finishedPrompts = 0
    public var promptTokens = 0
    public var generatedTokens = 0
    /// Passes over the weights.
    public var steps = 0
  }

  /// The seed of one prompt: the number `index`, from 0, of SplitMix64 with the seed of them all.
  public static func seed(_ seed: UInt64, ofPrompt index: Int) -> UInt64 {
    var numbers = SplitMix64(seed: seed, skipping: index)
    return numbers.next()
  }

  /// Continues the prompts.
  ///
  /// - Parameters:
  ///   - prompts: each encoded the tokenizer's own way, when its turn comes.
  ///   - first: the index of the first prompt to continue; those before it are done already.
  ///   - options: for all; the seed is that of `seed(_:ofPrompt:)`.
  ///   - isCancelled: asked before each step. Texts that are not finished then are lost.
  ///   - progress: called after each step.
  ///   - emit: takes the results, in order, as soon as all before them are there.
  /// - Returns: what was computed.
  /// - Throws: `GenerationError.invalidOption`, `ModelError`, and what `emit` throws.
  @discardableResult
  public func generate(
    prompts: [String], from first: Int = 0, options: TextGenerator.Options,
    isCancelled: () -> Bool = { false }, progress report: (Progress) -> Void = { _ in },
    emit: (Result) throws -> Void
  ) throws -> Progress {
    // A session has one source, which all of its sequences answer.
    if session.model.architecture.encoder != nil {
      throw GenerationError.needsDecoder(option: "--prompts")
    }
    let grammarTokens = try prepare(options)
    var queue = PromptQueue(next: first)
    var active = [ParallelText?](repeating: nil, count: session.sequenceCount)
    var progress = Progress()
    while true {
      for slot in active.indices where active[slot] == nil {
        active[slot] = begin(prompts, options, grammarTokens, &queue)
        session.reset(sequence: slot)
      }
      while let result = queue.nextInOrder() {
        try emit(result)
        progress.finishedPrompts += 1
      }
      report(progress)
      if isCancelled() || active.allSatisfy({ $0 == nil }) { return progress }
      try step(&active, &progress)
      for slot in active.indices {
        guard let text = active[slot], let result = text.result else { continue }
        queue.finish(result)
        active[slot] = nil
      }
    }
  }

  /// Checks the options, and makes what the texts of a grammar share.
  func prepare(_ options: TextGenerator.Options) throws(GenerationError) -> GrammarTokens? {
    let size = session.model.architecture.vocabularySize
    try options.validate(vocabularySize: size)
    return options.grammar == nil ? nil : GrammarTokens(tokenizer, vocabularySize: size)
  }

  /// The next prompt that there is something to compute for, if there is one.
  private func begin(
    _ prompts: [String], _ options: TextGenerator.Options, _ grammarTokens: GrammarTokens?,
    _ queue: inout PromptQueue
  ) -> ParallelText? {
    while queue.next < prompts.count {
      let index = queue.next
      queue.next += 1
      let seed = Self.seed(options.seed, ofPrompt: index)
      do {
        let tokens = try tokenizer.promptTokens(
          prompts[index], contextLength: session.contextLength)
        return try ParallelText(
          index: index, seed: seed, prompt: tokens, options: options, tokenizer: tokenizer,
          kernels: session.kernels, grammarTokens: grammarTokens)
      } catch {
        queue.finish(Result(index: index, seed: seed, text: .failure(error)))
      }
    }
    return nil
  }

  /// One pass over the weights: a token of each text, and of the prompts as much as there is room
  /// for, the earliest first.
  func step(_ active: inout [ParallelText?], _ progress: inout Progress) throws {
    let order = active.indices.filter { active[$0] != nil }
      .sorted { (active[$0]?.index ?? 0) < (active[$1]?.index ?? 0) }
    let readers = order.count { active[$0]?.isReading ?? false }
    var room = session.stepCapacity - (order.count - readers)
    var additions: [ParallelSession.Addition] = []
    for slot in order {
      guard let text = active[slot] else { continue }
      let tokens = text.nextTokens(atMost: room)
      if tokens.isEmpty { continue }
      if text.isReading {
        room -= tokens.count
        progress.promptTokens += tokens.count
      }
      let isEnd = text.readTokens + tokens.count == text.history.count
      additions.append(.init(sequence: slot, tokens: tokens, wantsLogits: isEnd))
    }
    let logits = try session.append(additions)
    progress.steps += 1
    var row = 0
    for addition in additions {
      let slot = addition.sequence
      active[slot]?.readTokens += addition.tokens.count
      guard addition.wantsLogits else { continue }
      let before = active[slot]?.ids.count ?? 0
      active[slot]?.choose(logits[row], contextLength: session.contextLength)
      progress.generatedTokens += (active[slot]?.ids.count ?? 0) - before
      row += 1
    }
  }
}

/// Which prompt comes next, and the results that wait for those before them.
private struct PromptQueue {
  /// The index of the prompt that was not begun yet.
  var next: Int
  /// Of the result to hand out next.
  private var expected: Int
  private var finished: [Int: ParallelGenerator.Result] = [:]

  init(next: Int) {
    self.next = next
    expected = next
  }

  mutating func finish(_ result: ParallelGenerator.Result) { finished[result.index] = result }

  mutating func nextInOrder() -> ParallelGenerator.Result? {
    guard let result = finished.removeValue(forKey: expected) else { return nil }
    expected += 1
    return result
  }
}
