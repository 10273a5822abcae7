import ArgumentParser
import Ember

/// How the next token is chosen.
struct SamplingOptionGroup: ParsableArguments {
  @Option(
    name: .long, parsing: .unconditional,
    help: ArgumentHelp(
      "Randomness: logits are divided by it. 0 takes the most probable token always. (default: 0.8)",
      valueName: "number"), transform: decimalNumber)
  var temperature: Float = 0.8

  @Option(
    name: .long, parsing: .unconditional,
    help: ArgumentHelp(
      "Choose among this many most probable tokens; 0 is off. (default: 40)", valueName: "count"),
    transform: wholeNumber)
  var topK = 40

  @Option(
    name: .long, parsing: .unconditional,
    help: ArgumentHelp(
      "Choose among the most probable tokens that make up this share of the probability; 1 is off."
        + " (default: 0.95)",
      valueName: "share"), transform: decimalNumber)
  var topP: Float = 0.95

  @Option(
    name: .long, parsing: .unconditional,
    help: ArgumentHelp(
      "Leave out tokens less probable than this share of the most probable one's; 0 is off."
        + " (default: 0.05)",
      valueName: "share"), transform: decimalNumber)
  var minP: Float = 0.05

  @Option(
    name: .long, parsing: .unconditional,
    help: ArgumentHelp(
      "Weaken the last 64 tokens by this factor, 0.01 to 100; 1 is off. (default: 1.0)",
      valueName: "factor"),
    transform: decimalNumber)
  var repetitionPenalty: Float = 1

  @Option(
    name: .long, parsing: .unconditional,
    help: ArgumentHelp(
      "Seed of the random numbers. The same seed gives the same text, on any number of threads."
        + " (default: a random one, printed with the statistics)", valueName: "number"),
    transform: seedNumber)
  var seed: UInt64?

  func validate() throws {
    do throws(GenerationError) {
      try options.validate()
    } catch {
      guard case .invalidOption(let name, let expected, let found) = error else { throw error }
      throw ValidationError("--\(name): expected \(expected), found \(found)")
    }
  }

  var options: SamplingOptions {
    SamplingOptions(
      temperature: temperature, topK: topK, topP: topP, minP: minP,
      repetitionPenalty: repetitionPenalty)
  }
}
