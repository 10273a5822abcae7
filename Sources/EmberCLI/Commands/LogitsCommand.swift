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
    name: .long,
    help: ArgumentHelp("Token ids to compute, as they stand.", valueName: "ids, e.g. 1,403,407"))
  var tokens: TokenList?

  @Option(
    name: .long,
    help: ArgumentHelp(
      "Print this many of the largest logits; 0 prints all, in the order of their ids.",
      valueName: "count"))
  var top = 10

  @Flag(name: .long, help: "Print the logits after every position, not the last alone.")
  var all = false

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
    let loaded = try LoadedModel(opening: model.model)
    let ids = tokens?.ids ?? prompt.map { loaded.tokenizer.encode($0) } ?? []
    // Checked first, because room is made for as many positions as there are tokens.
    let context = loaded.model.architecture.contextLength
    guard ids.count <= context else {
      throw GenerationError.promptTooLong(tokens: ids.count, context: context)
    }
    let session = try InferenceSession(
      model: loaded.model, contextLength: max(1, ids.count), threads: threads.threads)
    var positions: [LogitsReport.Position] = []
    var text = ""
    func take(_ index: Int, _ logits: UnsafeMutableBufferPointer<Float>) throws {
      let position = LogitsReport.Position(
        position: index, id: ids[index], logits: largest(logits, loaded.tokenizer))
      if json.json {
        positions.append(position)
      } else {
        text += position.text(loaded.tokenizer)
        if text.utf8.count > 1 << 16 {
          try StandardOutput.write(text)
          text = ""
        }
      }
    }
    if all {
      try session.append(ids) { try take($0, $1) }
    } else {
      try take(ids.count - 1, try session.append(ids))
    }
    if json.json {
      try JSONOutput.write(LogitsReport(ids: ids, positions: positions))
    } else {
      try StandardOutput.write(text)
    }
  }

  private func largest(
    _ logits: UnsafeMutableBufferPointer<Float>, _ tokenizer: Tokenizer
  ) -> [LogitsReport.Logit] {
    var ids = Array(logits.indices)
    if top > 0 {
      // Ties to the lower id, as greedy decoding chooses; a NaN goes to the end.
      ids.sort { a, b in
        let (x, y) = (logits[a], logits[b])
        if x.isNaN || y.isNaN { return x.isNaN ? (y.isNaN && a < b) : true }
        return x == y ? a < b : x > y
      }
      ids = Array(ids.prefix(top))
    }
    return ids.map { index in
      let id = Int32(truncatingIfNeeded: index)
      return LogitsReport.Logit(id: id, logit: logits[index], piece: tokenizer.piece(id))
    }
  }
}

/// `1,403,407`
struct TokenList: ExpressibleByArgument {
  var ids: [Int32]

  init?(argument: String) {
    ids = []
    for part in argument.split(separator: ",", omittingEmptySubsequences: false) {
      guard let id = Int32(part.trimming(while: { $0 == " " })), id >= 0 else { return nil }
      ids.append(id)
    }
  }
}

extension Substring {
  fileprivate func trimming(while isSpace: (Character) -> Bool) -> String {
    String(drop(while: isSpace).reversed().drop(while: isSpace).reversed())
  }
}

private struct LogitsReport: Encodable {
  var ids: [Int32]
  var positions: [Position]

  struct Position: Encodable {
    /// Counted from 0; the logits are for the token after it.
    var position: Int
    var id: Int32
    var logits: [Logit]

    func text(_ tokenizer: Tokenizer) -> String {
      var table = Table([("id", .right), ("logit", .right), ("piece", .left)])
      for logit in logits {
        table.append(["\(logit.id)", "\(logit.logit)", "|\(logit.piece)|"])
      }
      return "after position \(position), token \(id) |\(tokenizer.piece(id))|\n"
        + table.rendered()
    }
  }

  struct Logit: Encodable {
    var id: Int32
    var logit: Float
    var piece: String
  }
}
