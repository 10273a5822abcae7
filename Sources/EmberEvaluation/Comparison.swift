public import EmberModel
import Foundation

/// Several models on one text: what each costs and what it loses against the first.
public struct Comparison: Sendable {
  public let `protocol`: PerplexityProtocol
  public let windows: Int
  public let tokensScored: Int
  public let textName: String?
  public let textTokens: Int
  /// nil where ids were scored and not a text; so is the hash.
  public let textBytes: Int?
  /// Of the text's UTF-8, in hexadecimal.
  public let textSHA256: String?
  /// In the order given; the first is the baseline.
  public var rows: [Row]

  /// One model.
  public struct Row: Sendable {
    /// The model file's path.
    public let file: String
    /// How the model stored keys and values.
    public let cachePrecision: CachePrecision
    public let fileBytes: Int
    /// Of the tensors in blocks, scales and outliers included.
    public let bitsPerWeight: Double
    /// Of the whole file.
    public let fileBitsPerWeight: Double
    public let perplexity: Double
    public let perplexityStandardError: Double
    /// Distance from the baseline; nil for the baseline itself.
    public let divergence: Divergence?
    /// Speed of decoding, left to whoever measures it (`InferenceSession.decodeSpeed`).
    public var tokensPerSecond: Double?
    /// Left to whoever runs the models one by one.
    public var peakMemoryBytes: Int?
  }

  /// The distance of a model from the baseline. KL divergences are KL(baseline ‖ model) in nats, of
  /// the distributions of the next token.
  public struct Divergence: Sendable, Equatable {
    public let perplexityChangePercent: Double
    /// Standard error of the change, from the paired differences of the tokens.
    public let perplexityChangeErrorPercent: Double
    public let mean: Double
    public let median: Double
    public let percentile99: Double
    public let maximum: Double
    /// Share of the scored tokens for which both models find the same token most probable.
    public let topTokenAgreementPercent: Double
    /// Of the right token's probability, in percentage points.
    public let probabilityChangeMeanPercent: Double
    public let probabilityChangeRMSPercent: Double
  }

  /// - Throws: `EvaluationError.perplexityOverflow`
  init(
    _ text: EvaluationText, _ entries: [(model: Model, cachePrecision: CachePrecision)],
    _ scores: [WindowScore], _ divergences: [DivergenceScore]
  ) throws(EvaluationError) {
    self.protocol = scores[0].protocol
    windows = scores[0].windows
    tokensScored = scores[0].negativeLogLikelihoods.count
    textName = text.name
    textTokens = text.ids.count
    textBytes = text.byteCount
    textSHA256 = text.sha256
    rows = []
    for (index, (model, cachePrecision)) in entries.enumerated() {
      let losses = scores[index].negativeLogLikelihoods
      let statistics = SampleStatistics(losses)
      let perplexity = exp(statistics.mean)
      let divergence =
        index == 0
        ? nil
        : divergences[index].summary(
          negativeLogLikelihoods: losses, baseline: scores[0].negativeLogLikelihoods)
      guard (perplexity * statistics.standardError).isFinite,
        divergence?.perplexityChangeErrorPercent.isFinite ?? true
      else {
        throw .perplexityOverflow(
          path: model.file.path.string, meanNegativeLogLikelihood: statistics.mean)
      }
      rows.append(
        Row(
          file: model.file.path.string, cachePrecision: cachePrecision,
          fileBytes: model.file.fileBytes,
          bitsPerWeight: model.bitsPerWeight, fileBitsPerWeight: model.fileBitsPerWeight,
          perplexity: perplexity, perplexityStandardError: perplexity * statistics.standardError,
          divergence: divergence))
    }
  }
}
