extension Comparison: Encodable {
  enum CodingKeys: String, CodingKey {
    case windows
    case tokensScored = "tokens_scored"
    case text
    case textSHA256 = "text_sha256"
    case textBytes = "text_bytes"
    case textTokens = "tokens_in_text"
    case cacheBits = "cache_bits"
    case models
    case recommendation
  }

  private enum RecommendationKeys: String, CodingKey { case file, sentence }

  private struct RowOnFront: Encodable {
    enum CodingKeys: String, CodingKey { case isOnFront = "on_pareto_front" }
    let row: Row
    let isOnFront: Bool

    func encode(to encoder: any Encoder) throws {
      try row.encode(to: encoder)
      var container = encoder.container(keyedBy: CodingKeys.self)
      try container.encode(isOnFront, forKey: .isOnFront)
    }
  }

  /// The protocol's keys stand beside the comparison's; what is not known is null.
  public func encode(to encoder: any Encoder) throws {
    try self.protocol.encode(to: encoder)
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(windows, forKey: .windows)
    try container.encode(tokensScored, forKey: .tokensScored)
    try container.encode(textName, forKey: .text)
    try container.encode(textSHA256, forKey: .textSHA256)
    try container.encode(textBytes, forKey: .textBytes)
    try container.encode(textTokens, forKey: .textTokens)
    try container.encode(commonCachePrecision?.bits, forKey: .cacheBits)
    let models = zip(rows, onParetoFront).map { RowOnFront(row: $0, isOnFront: $1) }
    try container.encode(models, forKey: .models)
    let recommendation = self.recommendation
    var nested = container.nestedContainer(
      keyedBy: RecommendationKeys.self, forKey: .recommendation)
    try nested.encode(rows[recommendation.index].file, forKey: .file)
    try nested.encode(recommendation.sentence, forKey: .sentence)
  }
}

extension Comparison.Row: Encodable {
  enum CodingKeys: String, CodingKey {
    case file
    case cacheKeyBits = "cache_key_bits"
    case cacheValueBits = "cache_value_bits"
    case fileBytes = "file_bytes"
    case bitsPerWeight = "bits_per_weight"
    case fileBitsPerWeight = "file_bits_per_weight"
    case perplexity
    case perplexityStandardError = "perplexity_standard_error"
    case perplexityChangePercent = "perplexity_change_percent"
    case perplexityChangeErrorPercent = "perplexity_change_error_percent"
    case mean = "kl_divergence_mean"
    case median = "kl_divergence_median"
    case percentile99 = "kl_divergence_p99"
    case maximum = "kl_divergence_max"
    case topTokenAgreement = "top_token_agreement"
    case probabilityChangeMean = "probability_change_mean_percent"
    case probabilityChangeRMS = "probability_change_rms_percent"
    case tokensPerSecond = "tokens_per_second"
    case peakMemoryBytes = "peak_memory_bytes"
  }

  /// Every row has every key; for the baseline those of the distance are null.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(file, forKey: .file)
    try container.encode(cachePrecision.keyBits, forKey: .cacheKeyBits)
    try container.encode(cachePrecision.valueBits, forKey: .cacheValueBits)
    try container.encode(fileBytes, forKey: .fileBytes)
    try container.encode(bitsPerWeight, forKey: .bitsPerWeight)
    try container.encode(fileBitsPerWeight, forKey: .fileBitsPerWeight)
    try container.encode(perplexity, forKey: .perplexity)
    try container.encode(perplexityStandardError, forKey: .perplexityStandardError)
    let d = divergence
    try container.encode(d?.perplexityChangePercent, forKey: .perplexityChangePercent)
    try container.encode(d?.perplexityChangeErrorPercent, forKey: .perplexityChangeErrorPercent)
    try container.encode(d?.mean, forKey: .mean)
    try container.encode(d?.median, forKey: .median)
    try container.encode(d?.percentile99, forKey: .percentile99)
    try container.encode(d?.maximum, forKey: .maximum)
    try container.encode(d?.topTokenAgreementPercent, forKey: .topTokenAgreement)
    try container.encode(d?.probabilityChangeMeanPercent, forKey: .probabilityChangeMean)
    try container.encode(d?.probabilityChangeRMSPercent, forKey: .probabilityChangeRMS)
    try container.encode(tokensPerSecond, forKey: .tokensPerSecond)
    try container.encode(peakMemoryBytes, forKey: .peakMemoryBytes)
  }
}
