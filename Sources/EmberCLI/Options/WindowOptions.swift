import ArgumentParser
import Ember

/// How a text that is scored is cut into windows.
struct WindowOptions: ParsableArguments {
  @Option(
    name: .long,
    help: ArgumentHelp(
      "Protocol: papers (windows of the model's context side by side, every token scored), or"
        + " llama.cpp (windows of 512, the second half scored).", valueName: "preset"))
  var preset: Preset = .papers

  @Option(
    name: .long, parsing: .unconditional,
    help: ArgumentHelp(
      "Tokens of a window, 3 or more. (default: the preset's)", valueName: "tokens"),
    transform: wholeNumber)
  var context: Int?

  @Option(
    name: .long, parsing: .unconditional,
    help: ArgumentHelp(
      "Tokens from one window to the next, 1 to the context. (default: the context)",
      valueName: "tokens"), transform: wholeNumber)
  var stride: Int?

  @Flag(name: .long, help: "Begin each window with the beginning-of-sequence token.")
  var bos = false

  @Option(
    name: .long, parsing: .unconditional,
    help: ArgumentHelp(
      "Most windows to score, 1 or more. (default: the whole text)", valueName: "count"),
    transform: wholeNumber)
  var windows: Int?

  enum Preset: String, ExpressibleByArgument, CaseIterable {
    case papers
    case llamaCpp = "llama.cpp"
  }

  func validate() throws {
    try require("--context", context, in: 3...Int.max)
    try require("--stride", stride, in: 1...(context ?? Int.max))
    try require("--windows", windows, in: 1...Int.max)
  }

  /// The protocol for a model of this context length.
  func windowProtocol(modelContext: Int) -> PerplexityProtocol {
    var result: PerplexityProtocol
    switch preset {
    case .papers:
      result = .papers(context: context ?? modelContext)
    case .llamaCpp:
      result = .llamaCpp()
      if let context {
        // As llama.cpp does with another -c: still the second half.
        result.context = context
        result.stride = context
        result.firstScored = context / 2
      }
    }
    if let stride { result.stride = stride }
    result.addsBeginOfSequence = bos
    result.maximumWindows = windows
    return result.namedByParameters
  }
}
