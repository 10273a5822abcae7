import Foundation

/// How far a model is from the baseline, token by token.
struct DivergenceScore {
  /// KL(baseline ‖ model) in nats, for each scored token.
  private(set) var divergences: [Double] = []
  private var agreements = 0
  private var probabilityChange = 0.0
  private var squaredProbabilityChange = 0.0

  mutating func add(
    _ baseline: UnsafeBufferPointer<Float>, _ baselineRow: SoftmaxRow,
    _ logits: UnsafeBufferPointer<Float>, _ row: SoftmaxRow, target: Int,
    _ softmax: inout LogSoftmax
  ) {
    divergences.append(softmax.divergence(of: baseline, baselineRow, from: logits, row))
    if baselineRow.top == row.top { agreements += 1 }
    let change =
      exp(Double(logits[target]) - row.logSum)
      - exp(Double(baseline[target]) - baselineRow.logSum)
    probabilityChange += change
    squaredProbabilityChange += change * change
  }

  /// The summary, with the change of perplexity and its paired error.
  func summary(
    negativeLogLikelihoods: [Double], baseline: [Double]
  ) -> Comparison.Divergence {
    let count = Double(max(1, divergences.count))
    let change = PairedChange(negativeLogLikelihoods, baseline: baseline)
    let ascending = divergences.sorted()
    return Comparison.Divergence(
      perplexityChangePercent: change.percent,
      perplexityChangeErrorPercent: change.errorPercent,
      mean: SampleStatistics(divergences).mean,
      median: SampleStatistics.quantile(ascending, 0.5),
      percentile99: SampleStatistics.quantile(ascending, 0.99),
      maximum: ascending.last ?? 0,
      topTokenAgreementPercent: 100 * Double(agreements) / count,
      probabilityChangeMeanPercent: 100 * probabilityChange / count,
      probabilityChangeRMSPercent: 100 * (squaredProbabilityChange / count).squareRoot())
  }
}

/// The relative change of perplexity between two models on the same tokens.
///
/// ln(perplexity / baseline's) is the mean of the differences dᵢ of the tokens' negative
/// log-likelihoods. Its error is that of paired samples, √(var(d) / n): far smaller than the errors
/// of the two perplexities, because what makes a token hard does so for both models. To first order
/// the ratio's error is the ratio times it.
package struct PairedChange: Sendable {
  package let percent: Double
  package let errorPercent: Double

  package init(_ negativeLogLikelihoods: [Double], baseline: [Double]) {
    let statistics = SampleStatistics(zip(negativeLogLikelihoods, baseline).map { $0 - $1 })
    percent = 100 * expm1(statistics.mean)
    errorPercent = 100 * exp(statistics.mean) * statistics.standardError
  }
}
