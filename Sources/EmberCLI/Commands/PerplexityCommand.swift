import ArgumentParser
import Ember
import EmberFormat

/// `ember perplexity`: how well a model predicts a text.
struct PerplexityCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "perplexity",
    abstract: "Measure how well a model predicts a text.",
    discussion: """
      Prints the perplexity per token with its standard error, and everything that decides \
      whether it can be compared with another: the text's SHA-256, the tokens scored, the windows.

        ember perplexity model.q4 --text story.txt
        ember perplexity model.q4 --text story.txt --preset llama.cpp --windows 64
        ember perplexity model.q4 --text story.txt --context 512 --stride 256

      Of an encoder–decoder, such as T5 or a translator, the perplexity of targets is measured, each \
      predicted from its source, its end included:

        ember perplexity translator.q8 --pairs pairs.jsonl

      with a line of JSON for each, {"source": "…", "target": "…"}, or source and target on a line with \
      a tab between them.
      """)

  @OptionGroup var model: ModelArgument
  @Option(
    name: .long, help: ArgumentHelp("Text to score, UTF-8.", valueName: "file"),
    completion: .file(), transform: filePath)
  var text: FilePath?

  @Option(
    name: .long,
    help: ArgumentHelp(
      "Sources and targets to score, in place of a text; encoder–decoders only.",
      valueName: "file"),
    completion: .file(), transform: filePath)
  var pairs: FilePath?

  @OptionGroup var windows: WindowOptions
  @OptionGroup(title: "Memory") var memory: MemoryOptions
  @OptionGroup var cache: CacheOptions
  @OptionGroup var threads: ThreadOptions
  @OptionGroup var json: JSONOption

  func validate() throws {
    if (text == nil) == (pairs == nil) {
      throw ValidationError(
        "--text and --pairs: expected one of them, found \(text == nil ? "neither" : "both")")
    }
  }

  func run() throws {
    UnsafeSignalHandlers.exitOnSignals()
    UnsafeSignalHandlers.reportFaults(in: [model.model])
    let loaded = try LoadedModel(opening: model.model)
    if let pairs { return try score(PairFile(reading: pairs), loaded) }
    guard let path = self.text else { return }
    if loaded.model.architecture.encoder != nil { throw ModelError.noSource }
    let text = try TextInput.file(path)
    let plan = windows.windowProtocol(modelContext: loaded.model.architecture.contextLength)
    let progress = Progress()
    defer { progress.finish() }
    let reading = ReadingProgress()
    defer { reading.finish() }
    var evaluator = PerplexityEvaluator(
      model: loaded.model, tokenizer: loaded.tokenizer, threads: threads.threads,
      cachePrecision: cache.precision,
      budget: memory.budget, isForced: memory.force)
    evaluator.whileReading = reading.show
    let result = try evaluator.evaluate(
      text: text, named: path.lastComponent?.string, protocol: plan
    ) {
      reading.finish()
      progress.update(done: $0, total: $1, note: "windows") { speed in
        "\(Format.fixed(speed * Double(plan.stride), 0)) tokens/s"
      }
    }
    progress.finish()
    let report = PerplexityReport(
      model: loaded.model, result: result, cachePrecision: cache.precision,
      peakMemoryBytes: ProcessMemory.peak)
    if json.json {
      try JSONOutput.write(report)
    } else {
      try StandardOutput.write(report.text)
    }
  }

  private func score(_ file: PairFile, _ loaded: LoadedModel) throws {
    let progress = Progress()
    defer { progress.finish() }
    let result = try TargetPerplexityEvaluator(
      model: loaded.model, tokenizer: loaded.tokenizer, targetTokenizer: loaded.targetTokenizer,
      threads: threads.threads, cachePrecision: cache.precision, budget: memory.budget,
      isForced: memory.force
    ).evaluate(file.pairs) {
      progress.update(done: $0, total: $1, note: "pairs") { "\(Format.fixed($0, 1)) pairs/s" }
    }
    progress.finish()
    let report = TargetPerplexityReport(
      loaded.model, result, file, cachePrecision: cache.precision)
    if json.json {
      try JSONOutput.write(report)
    } else {
      try StandardOutput.write(report.words)
    }
  }
}

private struct PerplexityReport: Encodable {
  var model: Model
  var result: PerplexityResult
  var cachePrecision: CachePrecision
  var peakMemoryBytes: Int

  private enum CodingKeys: String, CodingKey {
    case file, fileBytes, bitsPerWeight, fileBitsPerWeight, peakMemoryBytes
    case cacheBits, cacheKeyBits, cacheValueBits
  }

  /// The result's keys stand beside the file's.
  func encode(to encoder: any Encoder) throws {
    try result.encode(to: encoder)
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(model.file.path.string, forKey: .file)
    try container.encode(model.file.fileBytes, forKey: .fileBytes)
    try container.encode(model.bitsPerWeight, forKey: .bitsPerWeight)
    try container.encode(model.fileBitsPerWeight, forKey: .fileBitsPerWeight)
    try container.encode(cachePrecision.bits, forKey: .cacheBits)
    try container.encode(cachePrecision.keyBits, forKey: .cacheKeyBits)
    try container.encode(cachePrecision.valueBits, forKey: .cacheValueBits)
    try container.encode(peakMemoryBytes, forKey: .peakMemoryBytes)
  }

  var text: String {
    Listing.rendered([
      (
        "perplexity",
        "\(Format.fixed(result.perplexity, 4)) ± \(Format.fixed(result.standardError, 4))"
          + " per token"
      ),
      (
        "bits per byte",
        result.bitsPerByte.map { "\(Format.fixed($0, 4)) of the scored tokens" } ?? "unknown"
      ),
      (
        "per word",
        result.wordPerplexity.map {
          "\(Format.significant($0, 5)) perplexity, \(Format.grouped(result.wordsScored)) words"
        } ?? "unknown"
      ),
      (
        "model",
        OneLine.escape(model.file.path.string) + ", \(Format.bytes(model.file.fileBytes)),"
          + " \(Format.fixed(model.bitsPerWeight, 3)) bits per weight"
          + (cachePrecision == .half
            ? "" : ", key/value cache of \(cachePrecision.rawValue) bits")
      ),
      ("text", result.textWords),
      ("protocol", result.protocol.words),
      (
        "scored",
        "\(Format.grouped(result.tokensScored)) of \(Format.grouped(result.textTokens)) tokens,"
          + " in \(Format.grouped(result.windows)) windows"
      ),
      ("speed", "\(Format.fixed(result.tokensPerSecond, 1)) tokens/s"),
      ("peak memory", Format.bytes(peakMemoryBytes)),
    ])
  }
}

extension PerplexityResult {
  fileprivate var textWords: String {
    EvaluatedText(name: textName, bytes: textBytes, sha256: textSHA256).words
  }
}

/// What identifies a text that was scored.
struct EvaluatedText {
  var name: String?
  var bytes: Int?
  var sha256: String?

  var words: String {
    "\(OneLine.escape(name ?? "unnamed")), \(Format.grouped(bytes ?? 0)) bytes,"
      + " SHA-256 \(sha256 ?? "unknown")"
  }
}
