import EmberModel

/// What a benchmark of a model found.
package struct ModelBenchmarkReport: Sendable {
  package let file: String
  package let fileBytes: Int
  package let bitsPerWeight: Double
  package let fileBitsPerWeight: Double
  package let weightBytesPerToken: Int
  package let kernels: String
  package let contextLength: Int
  package let cachePrecision: CachePrecision
  package let repetitions: Int
  package let load: LoadTimes?
  package let footprint: Footprint
  package let rows: [Row]

  /// Of the process with the model and one session, before anything else took memory.
  package struct Footprint: Sendable {
    package let peakMemoryBytes: Int
    /// Of the key/value cache, as far as it was filled.
    package let cacheBytes: Int
    /// Weights in the room that the cache did not need yet.
    package let lentBytes: Int
    package let plan: MemoryPlan
  }

  /// One test on one number of threads.
  package struct Row: ThroughputRow {
    package let test: BenchmarkTest
    package let tokensPerSecond: Spread
    /// On the same number of threads.
    package let peaks: MachinePeaks
    /// What prompts are limited by: int8, or f32 where the weights are f16.
    package let arithmetic: ArithmeticPeak.Kind
    private let weightBytesPerToken: Int
    private let meanCacheBytes: Double?
    private let operations: Double

    /// - Parameters:
    ///   - cacheBytesPerToken: the mean over the tokens.
    ///   - operations: multiplications and additions with weights, for the whole test.
    package init(
      test: BenchmarkTest, tokensPerSecond: Spread, peaks: MachinePeaks,
      arithmetic: ArithmeticPeak.Kind, weightBytesPerToken: Int, cacheBytesPerToken: Double?,
      operations: Double
    ) {
      self.test = test
      self.tokensPerSecond = tokensPerSecond
      self.peaks = peaks
      self.arithmetic = arithmetic
      self.weightBytesPerToken = weightBytesPerToken
      self.meanCacheBytes = cacheBytesPerToken
      self.operations = operations
    }

    private var isDecode: Bool { test.kind == "decode" }

    /// Of the key/value cache; nil for prompts and for several sequences together.
    package var cacheBytesPerToken: Double? { isDecode ? meanCacheBytes : nil }

    /// Weights read while decoding, which reads each once per token; nil for prompts and for
    /// several sequences together, which read them once for many tokens.
    package var weightBytesPerSecond: Double? {
      isDecode ? tokensPerSecond.median * Double(weightBytesPerToken) : nil
    }

    /// Weights and key/value cache; nil for prompts.
    package var bytesPerSecond: Double? {
      weightBytesPerSecond.map { $0 + tokensPerSecond.median * (cacheBytesPerToken ?? 0) }
    }

    package var isReading: Bool { isDecode }

    /// Multiplications and additions with weights; nil for decoding.
    package var operationsPerSecond: Double? {
      isDecode ? nil : tokensPerSecond.median / Double(test.totalTokens) * operations
    }
  }

  init(
    model: Model, plan: BenchmarkPlan.Resolved, kernels: String, load: LoadTimes?,
    footprint: Footprint, rows: [Row]
  ) {
    file = model.file.path.string
    fileBytes = model.file.fileBytes
    bitsPerWeight = model.bitsPerWeight
    fileBitsPerWeight = model.fileBitsPerWeight
    weightBytesPerToken = model.weightBytesPerToken
    self.kernels = kernels
    contextLength = plan.contextLength
    cachePrecision = plan.cachePrecision
    repetitions = plan.repetitions
    self.load = load
    self.footprint = footprint
    self.rows = rows
  }

  /// Of each token that is computed alone behind the deepest position, read from the file.
  package var streamedBytesPerToken: Int {
    footprint.plan.weights == .streamed ? footprint.plan.streamedBytes - footprint.lentBytes : 0
  }

  /// 1.1 is the promise: what is needed anyway, and a tenth.
  package var peakMemoryRatio: Double {
    Double(footprint.peakMemoryBytes) / Double(max(1, fileBytes + footprint.cacheBytes))
  }
}

extension ModelBenchmarkReport: BenchmarkReport {
  package var summary: [ReportField] {
    Machine.fields + [
      ("kernels", .text(kernels)),
      ("file", .text(file)),
      ("file_bytes", .integer(fileBytes)),
      ("bits_per_weight", .number(bitsPerWeight)),
      ("file_bits_per_weight", .number(fileBitsPerWeight)),
      ("weight_bytes_per_token", .integer(weightBytesPerToken)),
      ("context_length", .integer(contextLength)),
      ("cache_bits", .integer(cachePrecision.bits)),
      ("cache_key_bits", .integer(cachePrecision.keyBits)),
      ("cache_value_bits", .integer(cachePrecision.valueBits)),
      ("repetitions", .integer(repetitions)),
      ("peak_memory_bytes", .integer(footprint.peakMemoryBytes)),
      ("key_value_cache_bytes", .integer(footprint.cacheBytes)),
      ("peak_memory_ratio", .number(peakMemoryRatio)),
      ("memory_budget_bytes", .number(footprint.plan.budget.map(Double.init))),
      ("residency", .text(footprint.plan.weights.rawValue)),
      ("pinned_bytes", .integer(footprint.plan.pinnedBytes)),
      ("streamed_bytes_per_token", .integer(streamedBytesPerToken)),
    ] + (load?.fields ?? [])
  }

  package var measurements: [[ReportField]] {
    rows.map { row in
      [
        ("test", .text(row.test.kind)),
        ("threads", .integer(row.peaks.threads)),
        ("tokens", .integer(row.test.tokens)),
        ("sequences", .integer(row.test.sequences)),
        ("depth", .integer(row.test.depth)),
      ] + row.tokensPerSecond.fields("tokens_per_second") + [
        ("weight_bytes_per_second", .number(row.weightBytesPerSecond)),
        ("cache_bytes_per_token", .number(row.cacheBytesPerToken)),
      ] + row.throughputFields
    }
  }

  package var blocks: [MarkdownBlock] {
    var peaks: [MachinePeaks] = []
    for row in rows where !peaks.contains(where: { $0.threads == row.peaks.threads }) {
      peaks.append(row.peaks)
    }
    let name = file.split(separator: "/").last.map(String.init) ?? file
    func megabytes(_ bytes: Int) -> String { BenchmarkText.fixed(Double(bytes) / 1e6, 1) + " MB" }
    let memory =
      "Peak memory \(megabytes(footprint.peakMemoryBytes)),"
      + " \(BenchmarkText.fixed(peakMemoryRatio, 2)) × (file + key/value cache of"
      + " \(megabytes(footprint.cacheBytes)))"
    return [
      .paragraph(
        "\(machineWords), kernels \(kernels); \(name): \(megabytes(fileBytes)),"
          + " \(BenchmarkText.fixed(bitsPerWeight, 2)) bits per weight"
          + " (\(BenchmarkText.fixed(fileBitsPerWeight, 2)) of the whole file),"
          + " \(megabytes(weightBytesPerToken)) read per token; room for \(contextLength)"
          + " positions; medians of \(repetitions)")
    ] + MachinePeaks.blocks(peaks) + [
      .table(table),
      .paragraph((load.map { "\($0.words). " } ?? "") + memory + "." + budgetWords),
    ]
  }

  /// Weights in memory that do not stream.
  private var heldBytes: Int { footprint.plan.pinnedBytes + footprint.lentBytes }

  private var budgetWords: String {
    guard let budget = footprint.plan.budget else { return "" }
    func megabytes(_ bytes: Int) -> String { BenchmarkText.fixed(Double(bytes) / 1e6, 1) + " MB" }
    return " Of a budget of \(megabytes(budget)), \(megabytes(heldBytes)) hold"
      + " weights; \(megabytes(streamedBytesPerToken)) are read from the file for each token."
  }

  private var table: TextTable {
    TextTable(
      header: ["test", "threads", "tokens/s", "min – max"] + Row.readingHeader
        + ["cache MB/token"] + Row.arithmeticHeader,
      rows: rows.map { row in
        let place = row.test.depth > 0 ? " at \(row.test.depth)" : ""
        let sequences = row.test.kind == "parallel" ? "\(row.test.sequences) × " : ""
        return ["\(row.test.kind) \(sequences)\(row.test.tokens)\(place)", "\(row.peaks.threads)"]
          + row.tokensPerSecond.words(BenchmarkText.significant) + row.readingWords
          + [BenchmarkText.optional(row.cacheBytesPerToken.map { $0 / 1e6 }, 1)]
          + row.arithmeticWords(decimals: 0)
      })
  }
}
