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

  /// A draft model, and the memory that it takes.
  struct Draft {
    let model: Model
    let plan: MemoryPlan
  }

  /// Opens the draft model, if there is one: all of it stays in memory.
  ///
  /// - Parameter contextLength: the most positions that are of use.
  /// - Throws: `FormatError`, `ModelError`, `LoadingError`
  func openDraft(
    contextLength: Int, cachePrecision: CachePrecision
  ) throws -> Draft? {
    guard let draftPath, draftTokens > 0 else { return nil }
    let model = try LoadedModel(opening: draftPath).model
    let request = MemoryRequest(
      budget: .unlimited,
      context: .positions(min(contextLength, model.architecture.contextLength)),
      cachePrecision: cachePrecision)
    return Draft(model: model, plan: try MemoryPlan(for: model, request))
  }

  /// - Returns: nil where nothing is to be guessed.
  /// - Throws: `ModelError`; `GenerationError` where the draft does not belong to the model of
  ///   `session`.
  func speculation(
    for session: InferenceSession, draft: Draft?, threads: Int?
  ) throws -> Speculation? {
    if !usesLookup && draft == nil || draftTokens == 0 { return nil }
    let draftModel = try draft.map { draft in
      try DraftModel(
        session: InferenceSession(model: draft.model, plan: draft.plan, threads: threads),
        target: session.model)
    }
    return Speculation(
      usesLookup: usesLookup, draftModel: draftModel, maximumDraft: draftTokens)
  }
}
