import EmberGeneration
public import EmberModel
public import EmberTokenizer
import Foundation

/// A source and what an encoder–decoder should answer.
public struct TextPair: Sendable, Equatable {
  public var source: String
  public var target: String

  public init(source: String, target: String) {
    self.source = source
    self.target = target
  }
}

/// Measures how well an encoder–decoder predicts targets, each from its source.
///
/// ```swift
/// let evaluator = TargetPerplexityEvaluator(model: model, tokenizer: tokenizer)
/// let result = try evaluator.evaluate([TextPair(source: "Hello.", target: "Hallo.")])
/// print(result.perplexity, "±", result.standardError)
/// ```
///
/// Each token of a target is predicted from the source and the tokens before it, the end of the
/// sequence included, and the first one from the token that the model begins with. That is the loss of
/// `transformers` with the target as labels, summed over all pairs and divided by all tokens.
public struct TargetPerplexityEvaluator: Sendable {
  private let model: Model
  private let tokenizer: Tokenizer
  private let targetTokenizer: Tokenizer
  private let threads: Int?
  private let memory: MemoryRequest

  /// - Parameters:
  ///   - targetTokenizer: nil where it is that of the sources.
  ///   - threads: nil for the physical cores that this process may use.
  ///   - cachePrecision: how keys and values are stored.
  ///   - budget: what this process may take all in all.
  ///   - isForced: whether the least memory is taken where that is too small.
  public init(
    model: Model, tokenizer: Tokenizer, targetTokenizer: Tokenizer? = nil, threads: Int? = nil,
    cachePrecision: CachePrecision = .half, budget: MemoryBudget = .unlimited,
    isForced: Bool = false
  ) {
    self.model = model
    self.tokenizer = tokenizer
    self.targetTokenizer = targetTokenizer ?? tokenizer
    self.threads = threads
    memory = MemoryRequest(budget: budget, cachePrecision: cachePrecision, isForced: isForced)
  }

  /// - Parameter progress: called after each pair with how many are done, of how many.
  /// - Throws: `EvaluationError`, `ModelError`, and what `progress` throws.
  public func evaluate(
    _ pairs: [TextPair], progress: (_ done: Int, _ total: Int) throws -> Void = { _, _ in }
  ) throws -> TargetPerplexity {
    if pairs.isEmpty { throw EvaluationError.noPairs }
    guard let start = model.architecture.decoderStart, model.architecture.encoder != nil
    else { throw ModelError.noEncoder }
    let session = try InferenceSession(
      model: model, plan: try MemoryPlan(for: model, memory), threads: threads)
    var softmax = LogSoftmax()
    var values: [Double] = []
    var sourceTokens = 0
    var bytes = 0
    let clock = ContinuousClock()
    let begin = clock.now
    for (index, pair) in pairs.enumerated() {
      let source = tokenizer.sourceTokens(pair.source)
      let target = targetTokenizer.targetTokens(pair.target)
      sourceTokens += source.count
      bytes += pair.target.utf8.count
      try session.encode(source)
      guard !target.isEmpty else { continue }
      try session.append([Int32(start)] + target.dropLast()) { position, logits in
        let logits = UnsafeBufferPointer(logits)
        guard let row = softmax.measure(logits) else {
          throw EvaluationError.notFinite(
            path: model.file.path.string, window: index, position: position)
        }
        values.append(row.logSum - Double(logits[Int(target[position])]))
      }
      try progress(index + 1, pairs.count)
    }
    return try TargetPerplexity(
      values, pairs: pairs.count, sourceTokens: sourceTokens, targetBytes: bytes,
      path: model.file.path.string, seconds: (clock.now - begin).seconds)
  }
}

/// A perplexity of targets.
public struct TargetPerplexity: Sendable {
  /// e^meanNegativeLogLikelihood
  public let perplexity: Double
  /// Of the perplexity: perplexity · standard error of the mean negative log-likelihood.
  public let standardError: Double
  /// Per token of the targets, in nats.
  public let meanNegativeLogLikelihood: Double
  /// Of each of them, in order.
  public let negativeLogLikelihoods: [Double]
  public var tokensScored: Int { negativeLogLikelihoods.count }
  public let pairs: Int
  public let sourceTokens: Int
  /// Bits that the model needs per byte of the targets; nil if they have none.
  public let bitsPerByte: Double?
  /// Tokens per second, of sources and targets.
  public let tokensPerSecond: Double

  /// - Throws: `EvaluationError.textTooShort`, `.perplexityOverflow`
  init(
    _ values: [Double], pairs: Int, sourceTokens: Int, targetBytes: Int, path: String,
    seconds: Double
  ) throws(EvaluationError) {
    if values.count < 2 { throw .textTooShort(tokens: values.count, minimum: 2) }
    let statistics = SampleStatistics(values)
    perplexity = exp(statistics.mean)
    standardError = perplexity * statistics.standardError
    guard standardError.isFinite else {
      throw .perplexityOverflow(path: path, meanNegativeLogLikelihood: statistics.mean)
    }
    meanNegativeLogLikelihood = statistics.mean
    negativeLogLikelihoods = values
    self.pairs = pairs
    self.sourceTokens = sourceTokens
    bitsPerByte =
      targetBytes > 0 ? statistics.mean * Double(values.count) / log(2) / Double(targetBytes) : nil
    tokensPerSecond = seconds > 0 ? Double(sourceTokens + values.count) / seconds : 0
  }
}
