/// How the next token is chosen from the logits.
///
/// The steps, in this order: repetition penalty → temperature → top-k → min-p → top-p → draw. The
/// penalty changes logits, so it comes first; temperature comes before the filters because min-p and
/// top-p look at probabilities; top-p comes last, on the probabilities of those that are left.
public struct SamplingOptions: Sendable, Equatable {
  /// Logits are divided by it. 0 is greedy: the most probable token, ties to the lowest id.
  public var temperature: Float = 0.8
  /// Keeps this many of the most probable tokens; 0 is off.
  public var topK: Int = 40
  /// Keeps the smallest set of most probable tokens that has this share of the probability
  /// (Holtzman et al. 2020, nucleus sampling); 1 is off.
  public var topP: Float = 0.95
  /// Keeps tokens at least this probable, relative to the most probable one (Nguyen et al. 2024);
  /// 0 is off.
  public var minP: Float = 0.05
  /// Logits of recent tokens are divided by it where positive, multiplied where negative (Keskar et
  /// al. 2019, section 4.1); 1 is off.
  public var repetitionPenalty: Float = 1
  /// How many of the last tokens, the prompt's included, are recent.
  public var repetitionWindow: Int = 64

  public init(
    temperature: Float = 0.8, topK: Int = 40, topP: Float = 0.95, minP: Float = 0.05,
    repetitionPenalty: Float = 1, repetitionWindow: Int = 64
  ) {
    self.temperature = temperature
    self.topK = topK
    self.topP = topP
    self.minP = minP
    self.repetitionPenalty = repetitionPenalty
    self.repetitionWindow = repetitionWindow
  }

  /// The most probable token, always.
  public static let greedy = SamplingOptions(temperature: 0)

  /// - Throws: `GenerationError.invalidOption` for the first value that makes no sense.
  public func validate() throws(GenerationError) {
    // `contains` is false for NaN, so that it fails like any other value outside.
    if !(0...100).contains(temperature) {
      throw .invalidOption(
        name: "temperature", expected: "0 (greedy) to 100", found: "\(temperature)")
    }
    if topK < 0 {
      throw .invalidOption(name: "top-k", expected: "0 (off) or more", found: "\(topK)")
    }
    if !(topP > 0 && topP <= 1) {
      throw .invalidOption(
        name: "top-p", expected: "more than 0, at most 1 (off)", found: "\(topP)")
    }
    if !(0...1).contains(minP) {
      throw .invalidOption(name: "min-p", expected: "0 (off) to 1", found: "\(minP)")
    }
    if !(0.01...100).contains(repetitionPenalty) {
      throw .invalidOption(
        name: "repetition-penalty", expected: "0.01 to 100 (1 is off)",
        found: "\(repetitionPenalty)")
    }
    if repetitionWindow < 0 {
      throw .invalidOption(
        name: "repetition-window", expected: "0 (off) or more", found: "\(repetitionWindow)")
    }
  }
}
