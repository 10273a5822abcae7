import ArgumentParser
import Ember

/// What keeps a text from repeating itself.
struct RepetitionOptions: ParsableArguments {
  @Option(
    name: .long, parsing: .unconditional,
    help: ArgumentHelp(
      "Weaken the last tokens, prompt included, by this factor, 0.01 to 100; 1 is off."
        + " (default: 1.0)",
      valueName: "factor"),
    transform: decimalNumber)
  var repetitionPenalty: Float = 1

  @Option(
    name: .long, parsing: .unconditional,
    help: ArgumentHelp(
      "How many tokens that looks back on. (default: 64)", valueName: "tokens"),
    transform: wholeNumber)
  var repetitionWindow = 64

  @Option(
    name: .long, parsing: .unconditional,
    help: ArgumentHelp(
      "Take this from the logits of generated tokens; 0 is off. (default: 0.0)",
      valueName: "number"), transform: decimalNumber)
  var presencePenalty: Float = 0

  @Option(
    name: .long, parsing: .unconditional,
    help: ArgumentHelp(
      "Take this from them for each time that they came; 0 is off. (default: 0.0)",
      valueName: "number"), transform: decimalNumber)
  var frequencyPenalty: Float = 0

  @Option(
    name: .customLong("no-repeat-ngram"), parsing: .unconditional,
    help: ArgumentHelp(
      "No run of this many tokens comes twice, prompt included; 0 is off. (default: 0)",
      valueName: "tokens"), transform: wholeNumber)
  var noRepeatNGram = 0

  func validate() throws {
    var options = SamplingOptions()
    apply(to: &options)
    try checked(options.validate)
  }

  func apply(to options: inout SamplingOptions) {
    options.repetitionPenalty = repetitionPenalty
    options.repetitionWindow = repetitionWindow
    options.presencePenalty = presencePenalty
    options.frequencyPenalty = frequencyPenalty
    options.noRepeatNGram = noRepeatNGram
  }
}
