import Foundation

/// How often the most likely choice was the right one.
public struct MultipleChoiceResult: Sendable {
  /// Of one question.
  public struct Answer: Sendable, Equatable {
    /// Σ log p of each choice's tokens, in nats.
    public var logLikelihoods: [Double]
    /// Of the choices as UTF-8.
    public var byteCounts: [Int]
    public var right: Int

    /// The largest sum; of equal ones, the first.
    public var chosen: Int { Self.largest(logLikelihoods) }

    /// The largest sum per byte.
    public var chosenPerByte: Int {
      Self.largest(zip(logLikelihoods, byteCounts).map { $0 / Double(max(1, $1)) })
    }

    private static func largest(_ values: [Double]) -> Int {
      values.indices.max { values[$0] < values[$1] || (values[$0] == values[$1] && $0 > $1) } ?? 0
    }
  }

  public let answers: [Answer]
  /// Share of questions whose right choice has the largest log-likelihood: `acc` of
  /// lm-evaluation-harness.
  public let accuracy: Double
  /// √(Σ(x − mean)² / (n − 1) / n) over the questions.
  public let standardError: Double
  /// The same with log-likelihoods divided by the bytes of the choices: `acc_norm`.
  public let normalizedAccuracy: Double
  public let normalizedStandardError: Double
  /// What guessing would give on average.
  public let chance: Double
  public let tokensScored: Int
  /// Choices whose text did not fit into the context, so that its beginning was cut off.
  public let truncatedChoices: Int
  public let seconds: Double

  init(_ answers: [Answer], tokensScored: Int, truncatedChoices: Int, seconds: Double) {
    self.answers = answers
    let sums = SampleStatistics(answers.map { $0.chosen == $0.right ? 1 : 0 })
    let normalized = SampleStatistics(answers.map { $0.chosenPerByte == $0.right ? 1 : 0 })
    (accuracy, standardError) = (sums.mean, sums.standardError)
    (normalizedAccuracy, normalizedStandardError) = (normalized.mean, normalized.standardError)
    chance =
      answers.reduce(0) { $0 + 1 / Double($1.byteCounts.count) } / Double(max(1, answers.count))
    self.tokensScored = tokensScored
    self.truncatedChoices = truncatedChoices
    self.seconds = seconds
  }
}

extension MultipleChoiceResult: Encodable {
  enum CodingKeys: String, CodingKey {
    case questions, accuracy, chance, seconds
    case standardError = "accuracy_standard_error"
    case normalizedAccuracy = "normalized_accuracy"
    case normalizedStandardError = "normalized_accuracy_standard_error"
    case tokensScored = "tokens_scored"
    case truncatedChoices = "truncated_choices"
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(answers.count, forKey: .questions)
    try container.encode(accuracy, forKey: .accuracy)
    try container.encode(standardError, forKey: .standardError)
    try container.encode(normalizedAccuracy, forKey: .normalizedAccuracy)
    try container.encode(normalizedStandardError, forKey: .normalizedStandardError)
    try container.encode(chance, forKey: .chance)
    try container.encode(tokensScored, forKey: .tokensScored)
    try container.encode(truncatedChoices, forKey: .truncatedChoices)
    try container.encode(seconds, forKey: .seconds)
  }
}
