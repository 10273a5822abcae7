import ArgumentParser
import Ember
import EmberFormat

/// `ember evaluate`: multiple-choice questions, answered by likelihood.
struct EvaluateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate",
    abstract: "Answer multiple-choice questions by likelihood.",
    discussion: """
      Reads JSON lines such as HellaSwag's and takes the ending that the model finds most likely: \
      by the sum of its tokens' log-probabilities, and by that sum per byte. Prints both accuracies \
      with their standard errors (docs/evaluation.md).

        {"ctx": "She opened the door and", "endings": ["went in.", "blue."], "label": 0}

        ember evaluate model.q4 --questions hellaswag.jsonl
      """)

  @OptionGroup var model: ModelArgument

  @Option(
    name: .long,
    help: ArgumentHelp(
      "File of JSON lines, with ctx or query, endings or choices, label or gold; - is standard"
        + " input.", valueName: "file"),
    completion: .file(), transform: filePath)
  var questions: FilePath

  @Option(
    name: .long, parsing: .unconditional,
    help: ArgumentHelp("Score only the first questions. (default: all)", valueName: "count"),
    transform: wholeNumber)
  var limit: Int?

  @OptionGroup(title: "Memory") var memory: MemoryOptions
  @OptionGroup var cache: CacheOptions
  @OptionGroup var threads: ThreadOptions
  @OptionGroup var json: JSONOption

  func validate() throws { try require("--limit", limit, in: 1...Int.max) }

  func run() throws {
    UnsafeSignalHandlers.exitOnSignals()
    UnsafeSignalHandlers.reportFaults(in: [model.model])
    let loaded = try LoadedModel(opening: model.model)
    let list = try QuestionFile.read(questions, limit: limit)
    let progress = Progress()
    defer { progress.finish() }
    let reading = ReadingProgress()
    defer { reading.finish() }
    var evaluator = MultipleChoiceEvaluator(
      model: loaded.model, tokenizer: loaded.tokenizer, threads: threads.threads,
      cachePrecision: cache.precision, budget: memory.budget, isForced: memory.force)
    evaluator.whileReading = reading.show
    let result = try evaluator.evaluate(list) {
      reading.finish()
      progress.update(done: $0, total: $1, note: "questions") { speed in
        "\(Format.fixed(speed, 1)) questions/s"
      }
    }
    progress.finish()
    let report = EvaluateReport(
      result: result, file: loaded.model.file.path.string,
      peakMemoryBytes: ProcessMemory.peak)
    if json.json {
      try JSONOutput.write(report)
    } else {
      try StandardOutput.write(report.text)
    }
  }
}

/// JSON lines of questions.
enum QuestionFile {
  /// - Throws: `CommandError`
  static func read(_ path: FilePath, limit: Int?) throws -> [MultipleChoiceQuestion] {
    let name = path == "-" ? "standard input" : path.string
    let text = try TextInput.fileOrStandardInput(path)
    var questions: [MultipleChoiceQuestion] = []
    let lines = text.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false)
    for (index, line) in lines.enumerated() {
      if questions.count >= limit ?? .max { break }
      let line = String(line)
      if line.allSatisfy(\.isWhitespace) { continue }
      do throws(EvaluationError) {
        questions.append(try MultipleChoiceQuestion(jsonLine: line))
      } catch {
        guard case .invalidQuestion(let problem) = error else { throw error }
        throw CommandError.invalidQuestion(name: name, line: index + 1, problem: problem)
      }
    }
    return questions
  }
}

private struct EvaluateReport: Encodable {
  var result: MultipleChoiceResult
  var file: String
  var peakMemoryBytes: Int

  private enum CodingKeys: String, CodingKey { case file, peakMemoryBytes }

  func encode(to encoder: any Encoder) throws {
    try result.encode(to: encoder)
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(file, forKey: .file)
    try container.encode(peakMemoryBytes, forKey: .peakMemoryBytes)
  }

  var text: String {
    func share(_ value: Double, _ error: Double) -> String {
      "\(Format.fixed(value * 100, 2)) ± \(Format.fixed(error * 100, 2)) %"
    }
    var lines = [
      ("accuracy", share(result.accuracy, result.standardError) + " by the sum"),
      (
        "normalized",
        share(result.normalizedAccuracy, result.normalizedStandardError) + " by the sum per byte"
      ),
      ("chance", "\(Format.fixed(result.chance * 100, 2)) %"),
      (
        "scored",
        "\(Format.grouped(result.answers.count)) question\(result.answers.count == 1 ? "" : "s"),"
          + " \(Format.grouped(result.tokensScored)) tokens in \(Format.fixed(result.seconds, 1)) s"
      ),
      ("model", OneLine.escape(file)), ("peak memory", Format.bytes(peakMemoryBytes)),
    ]
    if result.truncatedChoices > 0 {
      lines.append(
        (
          "cut off",
          "the beginning of \(Format.grouped(result.truncatedChoices)) choices' texts, which are"
            + " longer than the context"
        ))
    }
    return Listing.rendered(lines)
  }
}
