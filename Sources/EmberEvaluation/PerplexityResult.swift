import Foundation

/// A perplexity and everything that makes it comparable.
public struct PerplexityResult: Sendable {
  /// e^meanNegativeLogLikelihood
  public let perplexity: Double
  /// Of the perplexity: perplexity · standard error of the mean negative log-likelihood.
  public let standardError: Double
  /// Per scored token, in nats.
  public let meanNegativeLogLikelihood: Double
  /// Negative log-likelihood of each scored token in nats, in the order of the text; not in the JSON.
  public let negativeLogLikelihoods: [Double]
  public var tokensScored: Int { negativeLogLikelihoods.count }
  public let windows: Int
  public let `protocol`: PerplexityProtocol
  public let textName: String?
  public let textTokens: Int
  /// nil where ids were scored and not a text; so is the hash.
  public let textBytes: Int?
  /// Of the text's UTF-8, in hexadecimal.
  public let textSHA256: String?
  /// Bits that the model needs per byte of the scored tokens: unlike perplexity it can be compared
  /// between tokenizers. nil if those tokens have no bytes.
  public let bitsPerByte: Double?
  /// Words, between white space, that begin in the scored tokens; 0 where ids were scored that have no
  /// text.
  public let wordsScored: Int
  /// e to the negative log-likelihood per word: like `bitsPerByte`, comparable between tokenizers. nil
  /// without words.
  public let wordPerplexity: Double?
  /// Positions computed per second, scored or not.
  public let tokensPerSecond: Double

  /// - Throws: `EvaluationError.perplexityOverflow`
  init(
    _ score: WindowScore, _ text: EvaluationText, path: String, bytesScored: Int,
    wordsScored: Int, seconds: Double
  ) throws(EvaluationError) {
    let statistics = SampleStatistics(score.negativeLogLikelihoods)
    perplexity = exp(statistics.mean)
    standardError = perplexity * statistics.standardError
    guard standardError.isFinite else {
      throw .perplexityOverflow(path: path, meanNegativeLogLikelihood: statistics.mean)
    }
    meanNegativeLogLikelihood = statistics.mean
    negativeLogLikelihoods = score.negativeLogLikelihoods
    windows = score.windows
    self.protocol = score.protocol
    textName = text.name
    textTokens = text.ids.count
    textBytes = text.byteCount
    textSHA256 = text.sha256
    let nats = statistics.mean * Double(score.negativeLogLikelihoods.count)
    bitsPerByte = bytesScored > 0 ? nats / log(2) / Double(bytesScored) : nil
    self.wordsScored = wordsScored
    let perWord = exp(nats / Double(max(1, wordsScored)))
    wordPerplexity = wordsScored > 0 && perWord.isFinite ? perWord : nil
    tokensPerSecond = seconds > 0 ? Double(score.positions) / seconds : 0
  }
}

/// What one model got over all windows.
struct WindowScore {
  /// As it was applied: with the stride that was really used.
  var `protocol`: PerplexityProtocol
  var windows = 0
  /// Positions computed.
  var positions = 0
  var negativeLogLikelihoods: [Double] = []
}

extension PerplexityResult: Encodable {
  enum CodingKeys: String, CodingKey {
    case perplexity
    case standardError = "perplexity_standard_error"
    case meanNegativeLogLikelihood = "mean_negative_log_likelihood"
    case tokensScored = "tokens_scored"
    case windows
    case text
    case textSHA256 = "text_sha256"
    case textBytes = "text_bytes"
    case textTokens = "tokens_in_text"
    case bitsPerByte = "bits_per_byte"
    case wordsScored = "words_scored"
    case wordPerplexity = "word_perplexity"
    case tokensPerSecond = "tokens_per_second"
  }

  /// The protocol's keys stand beside the result's; what is not known is null.
  public func encode(to encoder: any Encoder) throws {
    try self.protocol.encode(to: encoder)
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(perplexity, forKey: .perplexity)
    try container.encode(standardError, forKey: .standardError)
    try container.encode(meanNegativeLogLikelihood, forKey: .meanNegativeLogLikelihood)
    try container.encode(tokensScored, forKey: .tokensScored)
    try container.encode(windows, forKey: .windows)
    try container.encode(textName, forKey: .text)
    try container.encode(textSHA256, forKey: .textSHA256)
    try container.encode(textBytes, forKey: .textBytes)
    try container.encode(textTokens, forKey: .textTokens)
    try container.encode(bitsPerByte, forKey: .bitsPerByte)
    try container.encode(wordsScored, forKey: .wordsScored)
    try container.encode(wordPerplexity, forKey: .wordPerplexity)
    try container.encode(tokensPerSecond, forKey: .tokensPerSecond)
  }
}
