import ArgumentParser
import Ember

/// How tokens are guessed ahead.
struct SpeculationOptions: ParsableArguments {
  @Flag(
    name: .customLong("lookup"), inversion: .prefixedNo,
    help: "Guess from what followed the same words earlier in the text.")
  var usesLookup = true

  @Option(
    name: .customLong("draft"),
    help: ArgumentHelp(
      "Guess with a small model that has the same tokenizer.", valueName: "file"),
    completion: .file(), transform: filePath)
  var draftPath: FilePath?

  @Option(
    name: .long, parsing: .unconditional,
    help: ArgumentHelp(
      "Most tokens to guess at once, 0 to 127; how many of them is decided while running."
        + " (default: 64)",
      valueName: "count"), transform: wholeNumber)
  var draftTokens = 64

  func validate() throws {
    try require("--draft-tokens", draftTokens, in: 0...127)
  }

  /// - Returns: nil where nothing is to be guessed.
  /// - Throws: `FormatError`, `ModelError`, `LoadingError` for the draft model; `GenerationError`
  ///   where it does not belong to the model of `session`.
  func speculation(for session: InferenceSession, threads: Int?) throws -> Speculation? {
    var draft: DraftModel?
    if let draftPath {
      let model = try LoadedModel(opening: draftPath).model
      let length = min(session.contextLength, model.architecture.contextLength)
      draft = try DraftModel(
        session: InferenceSession(
          model: model, contextLength: length, threads: threads,
          cachePrecision: session.cachePrecision),
        target: session.model)
    }
    if !usesLookup && draft == nil || draftTokens == 0 { return nil }
    return Speculation(
      usesLookup: usesLookup, draftModel: draft, maximumDraft: draftTokens)
  }
}
