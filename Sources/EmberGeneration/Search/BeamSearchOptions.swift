/// How beam search looks for the most probable texts.
public struct BeamSearchOptions: Sendable, Equatable {
  /// Texts that are followed at a time.
  public var beams: Int
  /// A finished text's score is its log-probability divided by its length to this power: 0 compares
  /// log-probabilities, 1 their means, more favours long texts.
  public var lengthPenalty: Double
  public var earlyStopping: EarlyStopping
  /// How many of the best texts are handed out, at most `beams`.
  public var returned: Int

  /// When a search ends that has `beams` finished texts; transformers' `early_stopping`.
  public enum EarlyStopping: String, Sendable, CaseIterable {
    /// At once.
    case always = "true"
    /// When no unfinished text, as long as it is now, would be better than the worst finished one.
    case whenUnlikely = "false"
    /// When none could become better at any length that it may still reach.
    case never
  }

  public init(
    beams: Int = 4, lengthPenalty: Double = 1, earlyStopping: EarlyStopping = .whenUnlikely,
    returned: Int = 1
  ) {
    self.beams = beams
    self.lengthPenalty = lengthPenalty
    self.earlyStopping = earlyStopping
    self.returned = returned
  }

  /// - Throws: `GenerationError.invalidOption`
  public func validate() throws(GenerationError) {
    if !(1...256).contains(beams) {
      throw .invalidOption(name: "beams", expected: "1 to 256", found: "\(beams)")
    }
    if !(-100...100).contains(lengthPenalty) {
      throw .invalidOption(
        name: "length-penalty", expected: "-100 to 100", found: "\(lengthPenalty)")
    }
    if !(1...beams).contains(returned) {
      throw .invalidOption(
        name: "return", expected: "1 to \(beams), the number of beams", found: "\(returned)")
    }
  }
}
