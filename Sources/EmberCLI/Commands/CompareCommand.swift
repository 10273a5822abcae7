import ArgumentParser
import Ember

/// `ember compare`: what a precision costs and what it loses, in one table.
struct CompareCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "compare",
    abstract: "Compare models made from one checkpoint on a text.",
    discussion: """
      One table: file size, bits per weight (of the quantized tensors, and of the file), \
      perplexity, its change from the first model with the paired error, KL divergence from the \
      first model (nats), agreement on the most probable token, decoding speed, and memory.

        ember compare model.f16 model.q8 model.q4 --text story.txt --plot story.svg
        ember compare model.f16 model.q4 --text story.txt --preset llama.cpp --json

      All models go through the text side by side, in one pass. A list of --cache-bits lists each \
      model once for every way to store its key/value cache; what that costs shows with one model, \
      too:

        ember compare model.q4 --text story.txt --cache-bits 16,8,8/4,4

      Below the table, one sentence says which file to take. The rule: half the size may cost 5 % \
      more perplexity, a quarter 10 %, and so on; the best file at that rate is taken. The change \
      counts with twice its error on top, so that noise wins nothing, and within twice its error \
      it is called not measurable.
      """)

  @Argument(
    help: "Model file that the others are compared with.", completion: .file(),
    transform: filePath)
  var baseline: FilePath

  @Argument(
    help: ArgumentHelp("Model files to compare.", valueName: "model"), completion: .file(),
    transform: filePath)
  var models: [FilePath] = []

  @Option(
    name: .long, help: ArgumentHelp("Text to score, UTF-8.", valueName: "file"),
    completion: .file(), transform: filePath)
  var text: FilePath

  @OptionGroup var windows: WindowOptions
  @OptionGroup var plot: PlotOption
  @OptionGroup(title: "Memory") var memory: MemoryOptions
  @OptionGroup var cache: CacheListOptions
  @OptionGroup var threads: ThreadOptions
  @OptionGroup var json: JSONOption

  func validate() throws {
    if models.isEmpty, cache.precisions.count < 2 {
      throw ValidationError(
        "There is nothing to compare: name another model, or several --cache-bits.")
    }
  }

  func run() throws {
    UnsafeSignalHandlers.exitOnSignals()
    UnsafeSignalHandlers.reportFaults(in: [baseline] + self.models)
    try plot.check(inputs: [baseline] + self.models + [self.text])
    let residentBefore = ProcessMemory.resident
    let models = try ([baseline] + models).map { try LoadedModel(opening: $0).model }
    let text = try TextInput.file(self.text)
    let plan = windows.windowProtocol(modelContext: models[0].architecture.contextLength)
    let progress = Progress()
    defer { progress.finish() }
    let reading = ReadingProgress()
    defer { reading.finish() }
    var evaluator = try ModelComparison(
      models: models, threads: threads.threads, cachePrecisions: cache.precisions,
      budget: memory.budget, isForced: memory.force)
    evaluator.whileReading = reading.show
    var comparison = try evaluator.compare(
      text: text, named: self.text.lastComponent?.string, protocol: plan
    ) {
      reading.finish()
      progress.update(
        done: $0, total: $1, note: "windows, \(models.count * cache.precisions.count) models"
      ) { speed in
        "\(Format.fixed(speed * Double(plan.stride), 0)) tokens/s"
      }
    }
    progress.finish()
    var threadCount = 0
    for index in comparison.rows.indices {
      let model = models[index / cache.precisions.count]
      let cost = try DecodeCost(
        of: model,
        plan: try MemoryPlan(
          for: model,
          memory.request(
            context: .positions(plan.context),
            cachePrecision: comparison.rows[index].cachePrecision)),
        threads: threads.threads)
      comparison.rows[index].tokensPerSecond = cost.tokensPerSecond
      comparison.rows[index].peakMemoryBytes = residentBefore + cost.memoryBytes
      threadCount = cost.threads
    }
    try plot.write(comparison.svg())
    if json.json {
      try JSONOutput.write(comparison)
    } else {
      try StandardOutput.write(
        comparison.rendered(as: .terminal) + "\n"
          + (self.models.isEmpty ? "" : "\(comparison.recommendation.sentence)\n\n")
          + notes(for: comparison, threads: threadCount))
    }
  }

  private var cacheWords: String {
    if cache.precisions.count > 1 { return " in the bits of the column cache" }
    return cache.precisions == [.half] ? "" : " in \(cache.precisions[0].rawValue) bits"
  }

  private func notes(for comparison: Comparison, threads: Int) -> String {
    let text = EvaluatedText(
      name: comparison.textName, bytes: comparison.textBytes, sha256: comparison.textSHA256)
    return Listing.rendered([
      ("text", text.words),
      ("protocol", comparison.protocol.words),
      (
        "scored",
        "\(Format.grouped(comparison.tokensScored)) of \(Format.grouped(comparison.textTokens))"
          + " tokens, in \(Format.grouped(comparison.windows)) windows"
      ),
      ("change, KL", "from the first model; KL divergence in nats"),
      (
        "tokens/s",
        "decoding \(DecodeCost.tokens) tokens, median of \(DecodeCost.runs),"
          + " \(threads) thread\(threads == 1 ? "" : "s")"
      ),
      (
        "peak MB",
        "computed: this process before it opened a model, the file, mapped, the key/value cache of \(comparison.protocol.context)"
          + " positions\(cacheWords), and scratch"
      ),
    ])
  }
}

/// What decoding with a model costs on this machine.
private struct DecodeCost {
  static let tokens = 32
  static let runs = 3

  let tokensPerSecond: Double
  /// The file, or what of it has a place in the budget, the cache of the whole context, and the
  /// session's buffers.
  let memoryBytes: Int
  let threads: Int

  init(
    of model: Model, plan: MemoryPlan, threads: Int?
  ) throws {
    let session = try InferenceSession(model: model, plan: plan, threads: threads)
    // A short prompt brings all weights into memory.
    let prompt = min(session.chunkLength, plan.contextLength)
    _ = try session.append([Int32](repeating: 0, count: prompt))
    let weightBytes =
      plan.weights == .mapped
      ? model.file.fileBytes
      : plan.mappedBytes + plan.pinnedBytes + plan.ringBytes + plan.expertBytes
    memoryBytes = weightBytes + session.cacheCapacityBytes + session.scratchBytes
    let speeds = try (0..<Self.runs).map { _ in try session.decodeSpeed(tokens: Self.tokens) }
    tokensPerSecond = speeds.sorted()[Self.runs / 2]
    self.threads = session.threadCount
  }
}
