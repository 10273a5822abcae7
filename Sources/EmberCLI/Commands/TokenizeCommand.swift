import ArgumentParser
import Ember

/// `ember tokenize`: a text as the model sees it.
struct TokenizeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tokenize",
    abstract: "Show the token ids and pieces of a text.",
    discussion: """
      Encodes the text the tokenizer's own way, with the tokens that it puts before a text. \
      Without --text or --file the text comes from standard input, to the last byte.

        ember tokenize model.q4 --text "Once upon a time"
        ember tokenize model.q4 --file story.txt --ids-only
      """)

  @OptionGroup var model: ModelArgument

  @Option(
    name: .shortAndLong,
    help: ArgumentHelp("Text to encode. (default: standard input)", valueName: "text"))
  var text: String?

  @Option(
    name: .long, help: ArgumentHelp("File with the text to encode.", valueName: "file"),
    completion: .file(), transform: filePath)
  var file: FilePath?

  @Flag(name: .long, help: "Print the ids alone, separated by spaces.")
  var idsOnly = false

  @OptionGroup var json: JSONOption

  func validate() throws {
    if text != nil, file != nil {
      throw ValidationError("--text and --file: expected one of them, found both")
    }
  }

  func run() throws {
    UnsafeSignalHandlers.reportFaults(in: [model.model])
    let loaded = try LoadedModel(opening: model.model)
    let text = try text ?? file.map(TextInput.fileOrStandardInput) ?? TextInput.standardInput()
    let ids = loaded.tokenizer.encode(text)
    if json.json {
      try JSONOutput.write(
        TokenizeReport(
          tokens: ids.count, ids: ids, pieces: ids.map(loaded.tokenizer.piece),
          tokenizer: loaded.tokenizer.kindDescription))
    } else if idsOnly {
      try StandardOutput.write(ids.map(String.init).joined(separator: " ") + "\n")
    } else {
      let table = TextTable(
        header: ["id", "piece"],
        rows: ids.map { ["\($0)", "|\(loaded.tokenizer.piece($0))|"] },
        alignments: [.right, .left])
      try StandardOutput.write(
        table.rendered(as: .listing) + "\(ids.count) token\(ids.count == 1 ? "" : "s")\n")
    }
  }
}

private struct TokenizeReport: Encodable {
  var tokens: Int
  var ids: [Int32]
  var pieces: [String]
  var tokenizer: String
}
