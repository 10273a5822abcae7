/// How contrastive search weighs probability against repetition.
public struct ContrastiveOptions: Sendable, Equatable {
  /// The most probable tokens that are looked at: k.
  public var candidates: Int
  /// The weight of the degeneration penalty, 0 (greedy) to 1: α.
  public var penalty: Double

  public init(candidates: Int = 4, penalty: Double = 0.6) {
    self.candidates = candidates
    self.penalty = penalty
  }

  /// - Throws: `GenerationError.invalidOption`
  public func validate() throws(GenerationError) {
    if !(1...256).contains(candidates) {
      throw .invalidOption(name: "contrastive", expected: "1 to 256", found: "\(candidates)")
    }
    if !(0...1).contains(penalty) {
      throw .invalidOption(
        name: "contrastive-penalty", expected: "0 to 1", found: "\(penalty)")
    }
  }
}
