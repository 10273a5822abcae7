import ArgumentParser
import Ember

/// Many prompts at once, and where their texts go.
struct BatchOptions: ParsableArguments {
  @Option(
    name: .long,
    help: ArgumentHelp(
      "File with many prompts to continue, one per line, or JSON lines with the key prompt and"
        + " perhaps id; - is standard input. Results are JSON lines.",
      valueName: "file"),
    completion: .file(), transform: filePath)
  var prompts: FilePath?

  @Option(
    name: .long, parsing: .unconditional,
    help: ArgumentHelp(
      "Prompts of --prompts that are computed together, 1 to 256. (default: 8)",
      valueName: "count"), transform: wholeNumber)
  var parallel: Int?

  @Option(
    name: .long,
    help: ArgumentHelp(
      "Append the results of --prompts to this file; one that was begun is continued."
        + " (default: standard output)",
      valueName: "file"),
    completion: .file(), transform: filePath)
  var output: FilePath?

  func validate() throws {
    try require("--parallel", parallel, in: 1...256)
    if prompts != nil { return }
    for (name, isGiven) in [("--parallel", parallel != nil), ("--output", output != nil)]
    where isGiven {
      throw ValidationError("\(name): expected --prompts with it, found none")
    }
  }

  /// Refuses options of `ember run` that are for a single prompt.
  func validate(singlePromptOptions: [(name: String, isGiven: Bool)]) throws {
    if prompts == nil { return }
    for (name, isGiven) in singlePromptOptions where isGiven {
      throw ValidationError("--prompts and \(name): expected one of them, found both")
    }
  }
}
