/// How many tokens to draft: the number that gives the most tokens per second.
///
/// A draft of k tokens, of which the first i are right with probability a₁ · … · aᵢ, is expected to
/// give 1 + Σᵢ a₁ · … · aᵢ tokens (Leviathan et al. 2023, section 3.3, with probabilities that
/// differ), for a pass of k + 1 tokens and the time to draft k.
package struct DraftLength: Sendable, Equatable {
  /// 0 where no draft is expected to pay.
  package var count: Int
  /// Tokens expected per second.
  package var rate: Double

  /// A draft must be expected to gain this much, so that noise in the times does not decide.
  private static let leastGain = 1.03

  package init(count: Int = 0, rate: Double = 0) {
    self.count = count
    self.rate = rate
  }

  /// The best for what is expected.
  ///
  /// - Parameters:
  ///   - limit: the most tokens that may be drafted.
  ///   - secondsPerToken: of drafting.
  ///   - acceptance: probability that a token is right where all before it are, by its place.
  package init(
    limit: Int, cost: PassCost.Expectation, secondsPerToken: Double = 0,
    acceptance: (_ depth: Int) -> Double
  ) {
    self.init()
    guard cost.single > 0 else { return }
    rate = 1 / cost.single
    var needed = rate * Self.leastGain
    var (reached, expected) = (1.0, 1.0)
    for count in 1..<max(1, limit + 1) {
      reached *= acceptance(count - 1)
      expected += reached
      // What follows adds less than the pass grows by.
      if reached < 0.01 { break }
      let seconds = cost.seconds(tokens: count + 1) + Double(count) * secondsPerToken
      if expected / seconds > needed {
        (self.count, rate) = (count, expected / seconds)
        needed = rate
      }
    }
  }
}
