import EmberGeneration
public import EmberModel
public import EmberTokenizer

/// Scores multiple-choice questions by likelihood, as lm-evaluation-harness does: each choice's tokens
/// after the context, one space between.
///
/// ```swift
/// let evaluator = MultipleChoiceEvaluator(model: model, tokenizer: tokenizer)
/// let result = try evaluator.evaluate(questions)
/// print(result.accuracy, "±", result.standardError)
/// ```
///
/// Context and choice are encoded together, and the tokens behind as many as the context alone has are
/// scored. What the choices of a question have in common is computed once. It is no chat and no prompt
/// engineering: the texts are scored as they stand.
public struct MultipleChoiceEvaluator: Sendable {
  private let model: Model
  private let tokenizer: Tokenizer
  private let threads: Int?
  private let memory: MemoryRequest
  /// Called now and then while weights are read before the first computation, on any thread but one at
  /// a time.
  public var whileReading: @Sendable (_ bytesDone: Int, _ bytesTotal: Int) -> Void = { _, _ in }

  /// - Parameters:
  ///   - threads: nil for the physical cores that this process may use.
  ///   - budget: what this process may take all in all.
  ///   - isForced: whether the least memory is taken where that is too small.
  public init(
    model: Model, tokenizer: Tokenizer, threads: Int? = nil,
    cachePrecision: CachePrecision = .half, budget: MemoryBudget = .unlimited,
    isForced: Bool = false
  ) {
    self.model = model
    self.tokenizer = tokenizer
    self.threads = threads
    memory = MemoryRequest(budget: budget, cachePrecision: cachePrecision, isForced: isForced)
  }

  /// - Parameter progress: called after each question with how many are done, of how many.
  /// - Throws: `EvaluationError`, `ModelError`, and what `progress` throws.
  public func evaluate(
    _ questions: [MultipleChoiceQuestion],
    progress: (_ done: Int, _ total: Int) throws -> Void = { _, _ in }
  ) throws -> MultipleChoiceResult {
    if questions.isEmpty { throw EvaluationError.noQuestions }
    var scorer = ContinuationScorer(
      session: try InferenceSession(
        model: model, plan: try MemoryPlan(for: model, memory), threads: threads,
        progress: whileReading))
    let clock = ContinuousClock()
    var (seconds, truncated) = (0.0, 0)
    var answers: [MultipleChoiceResult.Answer] = []
    for (index, question) in questions.enumerated() {
      let start = clock.now
      var answer = MultipleChoiceResult.Answer(
        logLikelihoods: [], byteCounts: question.choices.map(\.utf8.count),
        right: question.answer)
      for choice in question.choices {
        let text = try tokens(question.context, choice)
        if text.ids.count - 1 > scorer.session.contextLength { truncated += 1 }
        answer.logLikelihoods.append(
          try scorer.logLikelihood(text.ids, from: text.first, question: index))
      }
      answers.append(answer)
      seconds += (clock.now - start).seconds
      try progress(index + 1, questions.count)
    }
    return MultipleChoiceResult(
      answers, tokensScored: scorer.tokensScored, truncatedChoices: truncated, seconds: seconds)
  }

  /// The tokens of context and choice, and the first that belongs to the choice.
  private func tokens(
    _ context: String, _ choice: String
  ) throws(EvaluationError) -> (ids: [Int32], first: Int) {
    // White space at the end of the context belongs to the choice, as in the harness.
    let end = context.lastIndex { !$0.isWhitespace }.map { context.index(after: $0) }
    let head = String(context[..<(end ?? context.startIndex)])
    var space = String(context[(end ?? context.startIndex)...])
    if space.isEmpty, !context.isEmpty, choice.first?.isWhitespace != true { space = " " }
    let begins = tokenizer.addsBeginOfSequence
    func encode(_ text: String) -> [Int32] {
      tokenizer.encode(text, addingBeginOfSequence: begins, parsingSpecialTokens: false)
    }
    var ids = encode(head + space + choice)
    var first = head.isEmpty ? (begins ? 1 : 0) : encode(head).count
    if first == 0 {
      // Something has to predict the first token.
      guard let begin = tokenizer.beginOfSequence ?? tokenizer.endOfSequence else {
        throw .noBeginOfSequence
      }
      ids.insert(begin, at: 0)
      first = 1
    }
    return (ids, min(first, ids.count - 1))
  }
}
