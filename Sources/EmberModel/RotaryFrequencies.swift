import Foundation

/// The frequencies of a rotary embedding, plain and scaled; the formulas are those of the papers that
/// `Architecture.RotaryScaling` names, as Hugging Face's checkpoints expect them.
struct RotaryFrequencies {
  let base: Double
  let dimensions: Int
  /// Of the session.
  let contextLength: Int

  /// base^(−2i / dimensions), [dimensions / 2]
  private func plain(base: Double) -> [Double] {
    (0..<dimensions / 2).map { pow(base, -2 * Double($0) / Double(dimensions)) }
  }

  /// The frequencies, and what cosines and sines are multiplied with.
  func scaled(
    by scaling: Architecture.RotaryScaling?
  ) -> (frequencies: [Double], factor: Double) {
    let frequencies = plain(base: base)
    switch scaling {
    case nil:
      return (frequencies, 1)
    case .linear(let factor):
      return (frequencies.map { $0 / Double(factor) }, 1)
    case .dynamic(let factor, let original):
      return (plain(base: grownBase(Double(factor), Double(original))), 1)
    case .yarn(let factor, let original, let fast, let slow, let attention, let truncates):
      let ramp = yarnRamp(Double(original), Double(fast), Double(slow), truncates)
      let mixed = zip(frequencies, ramp).map { $0 * (1 - $1) + $0 / Double(factor) * $1 }
      return (mixed, Double(attention))
    case .llama3(let factor, let low, let high, let original):
      return (
        frequencies.map {
          let turns = Double(original) * $0 / (2 * .pi)
          let kept = (turns - Double(low)) / Double(high - low)
          // Fewer turns than `low`: 0; more than `high`: 1. Where the two are one, a step.
          let share = high == low ? (turns < Double(low) ? 0 : 1) : min(max(kept, 0), 1)
          return (1 - share) * $0 / Double(factor) + share * $0
        }, 1
      )
    case .longRope(let short, let long, let original, let attention):
      let divisors = contextLength > original ? long : short
      return (zip(frequencies, divisors).map { $0 / Double($1) }, Double(attention))
    }
  }

  private func grownBase(_ factor: Double, _ original: Double) -> Double {
    let length = max(Double(contextLength), original)
    let growth = factor * length / original - (factor - 1)
    // The exponent has no meaning for a single pair, which does not turn with the base anyway.
    return dimensions == 2
      ? base : base * pow(growth, Double(dimensions) / Double(dimensions - 2))
  }

  /// How far each pair is interpolated, 0 to 1.
  private func yarnRamp(
    _ original: Double, _ fast: Double, _ slow: Double, _ truncates: Bool
  ) -> [Double] {
    func dimension(ofTurns turns: Double) -> Double {
      Double(dimensions) * log(original / (turns * 2 * .pi)) / (2 * log(base))
    }
    var (low, high) = (dimension(ofTurns: fast), dimension(ofTurns: slow))
    if truncates { (low, high) = (low.rounded(.down), high.rounded(.up)) }
    low = max(low, 0)
    high = min(high, Double(dimensions - 1))
    if low == high { high += 0.001 }
    return (0..<dimensions / 2).map { min(max((Double($0) - low) / (high - low), 0), 1) }
  }
}
