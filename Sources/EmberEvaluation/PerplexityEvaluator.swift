import EmberGeneration
public import EmberModel
public import EmberTokenizer

/// Measures how well a model predicts a text.
///
/// ```swift
/// let evaluator = PerplexityEvaluator(model: model, tokenizer: tokenizer)
/// let result = try evaluator.evaluate(text: text, protocol: .papers(context: 512))
/// print(result.perplexity, "±", result.standardError)
/// ```
///
/// Perplexity is e to the mean negative log-likelihood per scored token; its standard error takes
/// the tokens as independent, as llama.cpp's does. Figures depend neither on the threads nor on the
/// chunk length. A context above the model's is refused.
public struct PerplexityEvaluator: Sendable {
  private let model: Model
  private let tokenizer: Tokenizer
  private let threads: Int?
  private let memory: MemoryRequest
  /// Called now and then while weights are read before the first computation, on any thread but one at
  /// a time.
  public var whileReading: @Sendable (_ bytesDone: Int, _ bytesTotal: Int) -> Void = { _, _ in }

  /// - Parameters:
  ///   - threads: nil for the physical cores that this process may use.
  ///   - chunkLength: tokens per pass over the weights.
  ///   - cachePrecision: how keys and values are stored.
  ///   - budget: what this process may take all in all.
  ///   - isForced: whether the least memory is taken where that is too small.
  public init(
    model: Model, tokenizer: Tokenizer, threads: Int? = nil, chunkLength: Int = 128,
    cachePrecision: CachePrecision = .half, budget: MemoryBudget = .unlimited,
    isForced: Bool = false
  ) {
    self.model = model
    self.tokenizer = tokenizer
    self.threads = threads
    memory = MemoryRequest(
      budget: budget, cachePrecision: cachePrecision, chunkLength: chunkLength,
      isForced: isForced)
  }

  /// Scores a text, encoded without a beginning-of-sequence token of its own.
  ///
  /// - Parameters:
  ///   - name: what the result calls the text, such as the name of its file.
  ///   - progress: called after each window with how many are done, of how many.
  /// - Throws: `EvaluationError`, `ModelError`, and what `progress` throws.
  public func evaluate(
    text: String, named name: String? = nil, protocol windows: PerplexityProtocol,
    progress: (_ done: Int, _ total: Int) throws -> Void = { _, _ in }
  ) throws -> PerplexityResult {
    try evaluate(EvaluationText(text, name: name, tokenizer: tokenizer), windows, progress)
  }

  /// Scores the tokens of a text.
  public func evaluate(
    ids: [Int32], protocol windows: PerplexityProtocol,
    progress: (_ done: Int, _ total: Int) throws -> Void = { _, _ in }
  ) throws -> PerplexityResult {
    try evaluate(EvaluationText(ids: ids), windows, progress)
  }

  private func evaluate(
    _ text: EvaluationText, _ windows: PerplexityProtocol,
    _ progress: (_ done: Int, _ total: Int) throws -> Void
  ) throws -> PerplexityResult {
    let prepared = try PreparedText(
      text, windows, beginOfSequence: tokenizer.beginOfSequence,
      vocabularySize: model.architecture.vocabularySize)
    var request = memory
    request.context = .positions(windows.context)
    var runner = try WindowRunner(
      model: model, memory: try MemoryPlan(for: model, request), windows: windows,
      stride: prepared.plan.stride, threads: threads,
      whileReading: whileReading)
    var softmax = LogSoftmax()
    let words = WordStarts(text.ids, tokenizer)
    var (bytesScored, wordsScored) = (0, 0)
    var seconds = 0.0
    let clock = ContinuousClock()
    for index in 0..<prepared.plan.count {
      let start = clock.now
      let input = prepared.window(index)
      try runner.begin(input)
      try runner.run(input, positions: input.predicting, &softmax)
      seconds += (clock.now - start).seconds
      for id in input.ids[(input.firstPredicting + 1)...] where !tokenizer.isSpecial(id) {
        bytesScored += tokenizer.bytes(of: id).count
      }
      let window = prepared.plan[index]
      // The beginning-of-sequence token is no part of the text.
      let first = window.start + window.firstScored - prepared.plan.prefix
      wordsScored += words.counts[first..<window.start + window.tokenCount].reduce(0, +)
      try progress(index + 1, prepared.plan.count)
    }
    return try PerplexityResult(
      runner.score, text, path: runner.path, bytesScored: bytesScored, wordsScored: wordsScored,
      seconds: seconds)
  }
}
