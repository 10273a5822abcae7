import ArgumentParser
import Ember

extension BeamSearchOptions.EarlyStopping: ExpressibleByArgument {}

/// Deterministic ways to a text that look further than the next token.
struct SearchOptions: ParsableArguments {
  @Option(
    name: .long, parsing: .unconditional,
    help: ArgumentHelp(
      "Beam search: follow so many texts, 2 to 256, to the most probable one.",
      valueName: "count"), transform: wholeNumber)
  var beams: Int?

  @Option(
    name: .long, parsing: .unconditional,
    help: ArgumentHelp(
      "Divide a text's log-probability by its length to this power; more favours long texts."
        + " (default: 1.0)",
      valueName: "power"), transform: decimalNumber)
  var lengthPenalty: Float?

  @Option(
    name: .long,
    help: ArgumentHelp(
      "End when there are as many texts as beams (true), when no beam is likely to become better"
        + " (false), or when none can (never). (default: false)",
      valueName: "when"))
  var earlyStopping: BeamSearchOptions.EarlyStopping?

  @Option(
    name: .customLong("return"), parsing: .unconditional,
    help: ArgumentHelp(
      "Print so many of the texts, best first. (default: 1)", valueName: "count"),
    transform: wholeNumber)
  var returned: Int?

  @Option(
    name: .long, parsing: .unconditional,
    help: ArgumentHelp(
      "Contrastive search: of so many most probable tokens take the one least like the text so far,"
        + " 2 to 256.",
      valueName: "count"), transform: wholeNumber)
  var contrastive: Int?

  @Option(
    name: .long, parsing: .unconditional,
    help: ArgumentHelp(
      "How much that counts against the probability, 0 to 1. (default: 0.6)",
      valueName: "share"), transform: decimalNumber)
  var contrastivePenalty: Float?

  func validate() throws {
    if beams != nil, contrastive != nil {
      throw ValidationError("--beams and --contrastive: expected one of them, found both")
    }
    for (name, isGiven) in [
      ("--length-penalty", lengthPenalty != nil), ("--early-stopping", earlyStopping != nil),
      ("--return", returned != nil),
    ] where isGiven && beams == nil {
      throw ValidationError("\(name): expected --beams with it, found none")
    }
    if contrastivePenalty != nil, contrastive == nil {
      throw ValidationError("--contrastive-penalty: expected --contrastive with it, found none")
    }
    try require("--beams", beams, in: 2...256)
    try require("--contrastive", contrastive, in: 2...256)
    if let beam = beamSearch { try checked(beam.validate) }
    if let contrast = contrastiveSearch { try checked(contrast.validate) }
  }

  var beamSearch: BeamSearchOptions? {
    beams.map {
      BeamSearchOptions(
        beams: $0, lengthPenalty: decimal(lengthPenalty ?? 1),
        earlyStopping: earlyStopping ?? .whenUnlikely, returned: returned ?? 1)
    }
  }

  var contrastiveSearch: ContrastiveOptions? {
    contrastive.map {
      ContrastiveOptions(candidates: $0, penalty: contrastivePenalty.map(decimal) ?? 0.6)
    }
  }
}
