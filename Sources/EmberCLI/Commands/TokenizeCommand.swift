import ArgumentParser
import Ember

/// `ember tokenize`: a text as the model sees it.
struct TokenizeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tokenize",
    abstract: "Show the token ids and pieces of a text.",
    discussion: """
      Encodes the text the tokenizer's own way, with the tokens that it puts before a text. \
      Without --text or --file the text comes from standard input, to the last byte. The tokenizer \
      may be a model file's, or a tokenizer.json, tokenizer.model, tokenizer.bin or GGUF file by \
      itself. On a terminal the pieces are coloured, each with its id.

        ember tokenize model.q4 --text "Once upon a time"
        ember tokenize model.q4 --file story.txt --ids-only
        ember tokenize model.q4 --file story.txt --count
        ember tokenize model.q4 --compare other/tokenizer.json --text "naïve 12345"

      Fewer tokens for the same text are less work for the model; --compare shows where two \
      tokenizers cut differently, and what each makes of the whole.
      """)

  @Argument(
    help: "Model file, as `ember quantize` writes it, or a tokenizer's own file.",
    completion: .file(), transform: filePath)
  var model: FilePath

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

  @Flag(name: .long, help: "Print the number of tokens alone.")
  var count = false

  @Option(
    name: .long,
    help: ArgumentHelp(
      "Another model or tokenizer file, to show side by side.", valueName: "other"),
    completion: .file(), transform: filePath)
  var compare: FilePath?

  @Flag(
    name: .long,
    help: ArgumentHelp(
      "Read a JSON string from each line of the input; print ids and decoded text as JSON.",
      visibility: .hidden))
  var batch = false

  @OptionGroup var json: JSONOption

  func validate() throws {
    if text != nil, file != nil {
      throw ValidationError("--text and --file: expected one of them, found both")
    }
    if compare != nil, idsOnly || batch {
      throw ValidationError("--compare: expected neither --ids-only nor --batch beside it")
    }
    if count, idsOnly || batch {
      throw ValidationError("--count: expected neither --ids-only nor --batch beside it")
    }
  }

  func run() throws {
    UnsafeSignalHandlers.reportFaults(in: [model] + (compare.map { [$0] } ?? []))
    let tokenizer = try TokenizerArgument.open(model)
    if batch { return try TokenizeBatch.run(tokenizer) }
    let other = try compare.map(TokenizerArgument.open)
    let text = try text ?? file.map(TextInput.fileOrStandardInput) ?? TextInput.standardInput()
    let ids = tokenizer.encode(text)
    if let compare, let other {
      let comparison = TokenizeComparison(
        text: text, names: (model, compare), tokenizers: (tokenizer, other))
      if json.json {
        try JSONOutput.write(comparison.report)
      } else {
        try StandardOutput.write(count ? comparison.summary : comparison.listing)
      }
    } else if json.json {
      try JSONOutput.write(
        TokenizeReport(
          tokens: ids.count, ids: ids, pieces: ids.map(tokenizer.piece),
          tokenizer: tokenizer.kindDescription))
    } else if count {
      try StandardOutput.write("\(ids.count)\n")
    } else if idsOnly {
      try StandardOutput.write(ids.map(String.init).joined(separator: " ") + "\n")
    } else if StandardOutput.isTerminal {
      try StandardOutput.write(TokenizeColours.text(ids, tokenizer))
    } else {
      let table = TextTable(
        header: ["id", "piece"],
        rows: ids.map { ["\($0)", "|\(tokenizer.piece($0))|"] },
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
