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
      "Choose among the tokens that make up this share and are as surprising as expected; 1 is off."
        + " (default: 1.0)",
      valueName: "share"), transform: decimalNumber)
  var typicalP: Float = 1

  @Option(
    name: .long, parsing: .unconditional,
    help: ArgumentHelp(
      "Instead of these four: leave out the tokens that would take the text's surprise from this many"
        + " bits per token (mirostat 2), such as 5.",
      valueName: "bits"), transform: decimalNumber)
  var mirostat: Float?

  @Option(
    name: .long, parsing: .unconditional,
    help: ArgumentHelp(
      "How fast --mirostat learns, 0.001 to 1. (default: 0.1)", valueName: "rate"),
    transform: decimalNumber)
  var mirostatRate: Float?

  @Option(
    name: .long, parsing: .unconditional,
    help: ArgumentHelp(
      "Seed of the random numbers. The same seed gives the same text, on any number of threads."
        + " (default: a random one, printed with the statistics)", valueName: "number"),
    transform: seedNumber)
  var seed: UInt64?

  @Option(
    name: .long, parsing: .unconditional,
    help: ArgumentHelp(
      "Continue the prompt so many times, 1 to 256, each with a seed of its own, in one pass over the"
        + " weights for all. (default: 1)",
      valueName: "count"), transform: wholeNumber)
  var samples: Int?

  func validate() throws {
    try require("--samples", samples, in: 1...256)
    if mirostatRate != nil, mirostat == nil {
      throw ValidationError("--mirostat-rate: expected --mirostat with it, found none")
    }
    var options = SamplingOptions()
    apply(to: &options)
    try checked(options.validate)
  }

  func apply(to options: inout SamplingOptions) {
    options.temperature = temperature
    options.topK = topK
    options.topP = topP
    options.minP = minP
    options.typicalP = typicalP
    options.mirostat = mirostat.map {
      MirostatOptions(targetSurprise: decimal($0), learningRate: decimal(mirostatRate ?? 0.1))
    }
  }
}

/// Says of an option that the library refuses which one it is.
func checked(_ validate: () throws(GenerationError) -> Void) throws {
  do throws(GenerationError) {
    try validate()
  } catch {
    guard case .invalidOption(let name, let expected, let found) = error else { throw error }
    throw ValidationError("--\(name): expected \(expected), found \(found)")
  }
}
