import ArgumentParser
import Ember

/// `ember logits`: the numbers before a token is chosen, to check Ember against others.
struct LogitsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "logits",
    abstract: "Show the logits after a text.",
    discussion: """
      Computes the logits (unnormalised natural-log probabilities) after the last position, or \
      after every one, so that another implementation can be compared number by number.

        ember logits model.f16 --prompt "Once upon a time"
        ember logits model.f16 --tokens 1,403,407 --all --top 20 --json
      """)

  @OptionGroup var model: ModelArgument

  @Option(
    name: .shortAndLong,
    help: ArgumentHelp("Text to compute, encoded as `ember tokenize` shows.", valueName: "text"))
  var prompt: String?

  @Option(
    name: .long, parsing: .unconditional,
    help: ArgumentHelp("Token ids to compute, as they stand.", valueName: "ids, e.g. 1,403,407"),
    transform: TokenList.init(parsing:))
  var tokens: TokenList?

  @Option(
    name: .long, parsing: .unconditional,
    help: ArgumentHelp(
      "Print this many of the largest logits; 0 prints all, in the order of their ids."
        + " (default: 10)",
      valueName: "count"), transform: wholeNumber)
  var top = 10

  @Flag(name: .long, help: "Print the logits after every position, not the last alone.")
  var all = false

  @OptionGroup(title: "Memory") var memory: MemoryOptions
  @OptionGroup var cache: CacheOptions
  @OptionGroup var threads: ThreadOptions
  @OptionGroup var json: JSONOption

  func validate() throws {
    try require("--top", top, in: 0...Int.max)
    if (prompt == nil) == (tokens == nil) {
      throw ValidationError(
        "--prompt and --tokens: expected one of them, found \(prompt == nil ? "none" : "both")")
    }
  }

  func run() throws {
    UnsafeSignalHandlers.exitOnSignals()
    UnsafeSignalHandlers.reportFaults(in: [model.model])
    let loaded = try LoadedModel(opening: model.model)
    let ids = tokens?.ids ?? prompt.map { loaded.tokenizer.encode($0) } ?? []
    // Checked first, because room is made for as many positions as there are tokens.
    let context = loaded.model.architecture.contextLength
    guard ids.count <= context else {
      throw CommandError.promptTooLongForModel(tokens: ids.count, context: context)
    }
    let plan = try MemoryPlan(
      for: loaded.model,
      memory.request(
        context: .positions(max(1, ids.count)), cachePrecision: cache.precision))
    let reading = ReadingProgress()
    let session = try InferenceSession(
      model: loaded.model, plan: plan, threads: threads.threads, progress: reading.show)
    reading.finish()
    // Printed position by position: all logits of a long text would not fit into memory.
    var output = json.json ? LogitsOutput(jsonFor: ids) : LogitsOutput()
    func take(_ index: Int, _ logits: UnsafeMutableBufferPointer<Float>) throws {
      guard logits.allSatisfy(\.isFinite) else { throw GenerationError.notFinite(position: index) }
      try output.write(
        LogitsOutput.Position(
          position: index, id: ids[index], logits: largest(logits, loaded.tokenizer)),
        piece: loaded.tokenizer.piece(ids[index]))
    }
    if all {
      try session.append(ids) { try take($0, $1) }
    } else {
      try take(ids.count - 1, try session.append(ids))
    }
    try output.finish()
  }

  private func largest(
    _ logits: UnsafeMutableBufferPointer<Float>, _ tokenizer: Tokenizer
  ) -> [LogitsOutput.Logit] {
    var ids = Array(logits.indices)
    if top > 0 {
      // Ties to the lower id, as greedy decoding chooses.
      ids.sort { a, b in
        let (x, y) = (logits[a], logits[b])
        return x == y ? a < b : x > y
      }
      ids = Array(ids.prefix(top))
    }
    return ids.map { index in
      let id = Int32(truncatingIfNeeded: index)
      return LogitsOutput.Logit(id: id, logit: logits[index], piece: tokenizer.piece(id))
    }
  }
}

/// `1,403,407`
struct TokenList {
  var ids: [Int32]

  @Sendable init(parsing argument: String) throws {
    ids = []
    for part in argument.split(separator: ",", omittingEmptySubsequences: false) {
      guard let id = Int32(part.trimming(while: { $0 == " " })), id >= 0 else {
        throw ValidationError(
          "expected ids from 0 to \(Int32.max), separated by commas, found"
            + " \(part.isEmpty ? "an empty one" : String(part))")
      }
      ids.append(id)
    }
  }
}

extension Substring {
  fileprivate func trimming(while isSpace: (Character) -> Bool) -> String {
    String(drop(while: isSpace).reversed().drop(while: isSpace).reversed())
  }
}
