import ArgumentParser
import Ember

/// What a text may be, and where it ends.
struct ConstraintOptions: ParsableArguments {
  @Option(
    name: .long,
    help: ArgumentHelp("End before this text; may be given several times.", valueName: "text"))
  var stop: [String] = []

  @Option(
    name: .customLong("stop-token"), parsing: .unconditionalSingleValue,
    help: ArgumentHelp(
      "End before this token, by its id (ember tokenize shows them); may be given several times.",
      valueName: "id"), transform: wholeNumber)
  var stopTokens: [Int] = []

  @Flag(name: .long, help: "Go on after the token with which the model ends a text.")
  var ignoreEnd = false

  @Option(
    name: .customLong("logit-bias"), parsing: .unconditionalSingleValue,
    help: ArgumentHelp(
      "Add a number to the logit of a token, such as 42=-1.5, or 42=-inf to forbid it; may be given"
        + " several times.",
      valueName: "id=number"))
  var logitBias: [LogitBiasArgument] = []

  @Option(
    name: .long,
    help: ArgumentHelp(
      "File with a grammar that the text must follow (GBNF: root ::= \"yes\" | \"no\").",
      valueName: "file"), completion: .file(), transform: filePath)
  var grammar: FilePath?

  @Option(
    name: .customLong("json-schema"),
    help: ArgumentHelp(
      "File with a JSON schema: the text is JSON that satisfies it.", valueName: "file"),
    completion: .file(), transform: filePath)
  var jsonSchema: FilePath?

  func validate() throws {
    if stop.contains("") {
      throw ValidationError("--stop: expected a text to stop at, found an empty one")
    }
    for id in stopTokens { try require("--stop-token", id, in: 0...Int(Int32.max)) }
    if grammar != nil, jsonSchema != nil {
      throw ValidationError("--grammar and --json-schema: expected one of them, found both")
    }
    var options = SamplingOptions()
    options.logitBias = logitBias.map(\.bias)
    try checked(options.validate)
  }

  /// - Throws: `CommandError`
  func apply(to options: inout TextGenerator.Options) throws {
    options.stopStrings = stop
    options.stopTokens = stopTokens.map { Int32(truncatingIfNeeded: $0) }
    options.stopsAtEndOfSequence = !ignoreEnd
    options.sampling.logitBias = logitBias.map(\.bias)
    guard let path = grammar ?? jsonSchema else { return }
    let text = try TextInput.fileOrStandardInput(path)
    do throws(GenerationError) {
      options.grammar =
        grammar == nil ? try Grammar(jsonSchema: text) : try Grammar(gbnf: text)
    } catch {
      throw CommandError.grammarRefused(path, error)
    }
  }
}

/// `42=-1.5`
struct LogitBiasArgument: ExpressibleByArgument {
  let bias: SamplingOptions.LogitBias

  init?(argument: String) {
    let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2, let id = Int32(parts[0]), let value = Float(parts[1]) else {
      return nil
    }
    bias = .init(id: id, value: value)
  }
}
