import ArgumentParser
import Ember
import Foundation

/// `ember bench`: how fast this machine runs a model, and how much of what it could do that is.
struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench",
    abstract: "Measure how fast a model runs here, against what the machine can do.",
    discussion: """
      Decoding reads every weight once per token, so beside tokens/s stand the bytes of weights \
      and of the key/value cache read per second, and their share of this machine's read bandwidth. \
      Prompts are limited by arithmetic: shown are GOPS and their share of the machine's int8 peak, \
      for f16 models of its f32 peak. Bandwidth and peaks are measured in the same run on the same \
      number of threads. Figures are medians with their range, minimum to maximum; all measurements \
      take turns, and the first round is not counted.

        ember bench model.q4
        ember bench model.q4 --generate 32 --depth 0,1024 --threads 1,2 --json
        ember bench --synthetic 1.1B --bits 4 --outliers 0.5
        ember bench model.q4 --memory 500M
        ember bench --kernels

      --synthetic makes a model of random weights, of the shape tiny, 1.1B (TinyLlama) or 7B \
      (Llama 2), or WIDTHxLAYERSxFFN[xHEADS[xKVHEADS[xVOCABULARY[xCONTEXT]]]], such as \
      512x8x1408x8x4; by default heads have 64 dimensions each and share no keys, with a vocabulary \
      of 32000 and a context of 2048. Its temporary file is removed before the measurements begin. \
      The environment variable EMBER_KERNELS chooses the instruction set, here and in every other \
      command.
      """)

  @Argument(
    help: "Model file, as `ember quantize` writes it.", completion: .file(), transform: filePath)
  var model: FilePath?

  @Option(
    name: .long,
    help: ArgumentHelp(
      "Lengths of the prompts to time, 0 for none. (default: 128,512, cut to the context)",
      valueName: "tokens, e.g. 128,512"))
  var promptTokens: CountList?

  @Option(
    name: .long,
    help: ArgumentHelp(
      "Numbers of tokens to decode, 0 for none. (default: 64, cut to the context)",
      valueName: "tokens, e.g. 64,128"))
  var generate: CountList?

  @Option(
    name: .long,
    help: ArgumentHelp(
      "Positions in the cache before decoding, filled by reading a prompt first; each depth keeps a"
        + " cache of its own. (default: 0)", valueName: "positions, e.g. 0,4096"))
  var depth: CountList?

  @Option(
    name: .long,
    help: ArgumentHelp(
      "Also decode so many sequences together, each 1 to 256; tokens/s are those of all.",
      valueName: "sequences, e.g. 1,4,8"))
  var parallel: CountList?

  @Option(
    name: .long,
    help: ArgumentHelp(
      "Numbers of threads, each 1 to 1024."
        + " (default: 1 and the physical cores that this process may use)",
      valueName: "counts, e.g. 1,2"))
  var threads: CountList?

  @Option(
    name: .long,
    help: ArgumentHelp("Rounds that are counted, 1 to 1000.", valueName: "count"))
  var repetitions = 5

  @Option(
    name: .long,
    help: ArgumentHelp(
      "Positions to make room for. (default: as many as the measurements need)",
      valueName: "tokens"))
  var context: Int?

  @Option(
    name: .long,
    help: ArgumentHelp(
      "Memory that the process may take, such as 900M or 1.5G (powers of ten) or 1GiB, or auto; what"
        + " does not fit is read from the file for every token. (default: no limit)",
      valueName: "size"))
  var memory: MemorySize?

  @OptionGroup var cache: CacheOptions

  @Flag(name: .long, help: "Measure single kernels instead, of every instruction set.")
  var kernels = false

  @OptionGroup var synthetic: SyntheticOptions

  @Option(name: .long, help: "How to print the result.")
  var format: OutputFormat = .markdown

  @OptionGroup var json: JSONOption

  enum OutputFormat: String, ExpressibleByArgument, CaseIterable {
    case markdown, csv, json
  }

  func validate() throws {
    let subjects = [model != nil, kernels, synthetic.shape != nil].count { $0 }
    if subjects != 1 {
      throw ValidationError(
        "expected one of a model file, --synthetic and --kernels, found \(subjects)")
    }
    try require("--repetitions", repetitions, in: 1...1000)
    try require("--context", context, in: 1...Int.max)
    for count in parallel?.counts ?? [] { try require("--parallel", count, in: 1...256) }
    for count in threads?.counts ?? [] { try require("--threads", count, in: 1...1024) }
    if kernels {
      for (name, isGiven) in [
        ("--prompt-tokens", promptTokens != nil), ("--generate", generate != nil),
        ("--depth", depth != nil), ("--parallel", parallel != nil), ("--context", context != nil),
        ("--cache-bits", cache.bits != nil), ("--memory", memory != nil),
      ] where isGiven {
        throw ValidationError("\(name): expected a model to measure, found --kernels")
      }
    }
  }

  func run() throws {
    Interruption.catchSignals()
    do {
      if kernels {
        try print(try measureKernels())
      } else if let model {
        let (load, model) = try open(model)
        try print(try measure(model, load))
      } else {
        let (load, model) = try openSynthetic()
        try print(try measure(model, load))
      }
    } catch is CancellationError {
      throw InterruptedRun()
    }
  }

  private func open(_ path: FilePath) throws -> (LoadTimes?, Model) {
    // Loading is timed up to a first token, from the mapped file: that may be more memory.
    if memory != nil { return (nil, try LoadedModel(opening: path).model) }
    return try LoadTimes.measure(
      rounds: repetitions, threads: threads?.counts.max(),
      isCancelled: { Interruption.hasHappened },
      open: { try LoadedModel(opening: path).model })
  }

  private func measure(_ model: Model, _ load: LoadTimes?) throws -> ModelBenchmarkReport {
    var plan = BenchmarkPlan()
    plan.promptTokens = promptTokens?.counts
    plan.generatedTokens = generate?.counts
    plan.depths = depth?.counts
    plan.parallel = parallel?.counts
    plan.threads = threads?.counts
    plan.contextLength = context
    plan.cachePrecision = cache.precision
    plan.repetitions = repetitions
    plan.memory = memory?.budget
    let benchmark = ModelBenchmark(
      model: model,
      plan: try plan.resolved(
        modelContext: model.architecture.contextLength,
        recommendedThreads: ModelBenchmark.recommendedThreads),
      load: load, peakMemory: { ProcessMemory.peak })
    return try withProgress("measurements") { update in
      try benchmark.run(isCancelled: { Interruption.hasHappened }, progress: update)
    }
  }

  private func measureKernels() throws -> KernelBenchmarkReport {
    try withProgress("measurements") { update in
      try KernelBenchmark(threads: threads?.counts, repetitions: repetitions).run(
        isCancelled: { Interruption.hasHappened }, progress: update)
    }
  }

  /// Writes and opens the file; without --keep its folder is gone when this returns, so that nothing
  /// is left behind however the measurements end.
  private func openSynthetic() throws -> (LoadTimes?, Model) {
    if let path = synthetic.keep {
      try writeSynthetic(to: path)
      return try open(path)
    }
    let folder = FileManager.default.temporaryDirectory
      .appending(path: "ember-bench-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let path = FilePath(folder.appending(path: synthetic.fileName).path)
    try writeSynthetic(to: path)
    return try open(path)
  }

  private func writeSynthetic(to path: FilePath) throws {
    let model = try synthetic.model()
    do {
      try withProgress("layers of random weights") { update in
        _ = try model.write(
          to: path, isCancelled: { Interruption.hasHappened }, progress: update)
      }
    } catch FormatError.isDirectory(let path) {
      throw CommandError.outputIsFolder(path)
    }
  }

  private func withProgress<Result>(
    _ unit: String, _ body: ((Int, Int) -> Void) throws -> Result
  ) throws -> Result {
    let progress = Progress()
    defer { progress.finish() }
    return try body { done, total in
      progress.update(done: done, total: total, note: "\(total) \(unit)") { speed in
        "\(Format.significant(speed))/s"
      }
    }
  }

  private func print(_ report: some BenchmarkReport) throws {
    switch json.json ? .json : format {
    case .markdown: try StandardOutput.write(report.markdown)
    case .csv: try StandardOutput.write(report.csv)
    case .json: try JSONOutput.write(report)
    }
  }
}
