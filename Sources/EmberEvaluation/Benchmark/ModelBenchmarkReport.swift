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
  /// Of the process with the model and one session, before anything else took memory.
  package let peakMemoryBytes: Int
  package let rows: [Row]

  /// One test on one number of threads.
  package struct Row: Sendable {
    package let test: BenchmarkTest
    package let threads: Int
    package let tokensPerSecond: Spread
    /// Bytes per second, measured between the tests on the same number of threads.
    package let readBandwidth: Spread
    fileprivate let weightBytesPerToken: Int
    fileprivate let operations: Double

    init(
      test: BenchmarkTest, threads: Int, tokensPerSecond: Spread, readBandwidth: Spread,
      weightBytesPerToken: Int, operations: Double
    ) {
      self.test = test
      self.threads = threads
      self.tokensPerSecond = tokensPerSecond
      self.readBandwidth = readBandwidth
      self.weightBytesPerToken = weightBytesPerToken
      self.operations = operations
    }

    private var isDecode: Bool { test.kind == "decode" }

    /// Weights read while decoding, which reads each once per token; nil for prompts, which read
    /// them once per chunk of tokens.
    package var bytesPerSecond: Double? {
      isDecode ? tokensPerSecond.median * Double(weightBytesPerToken) : nil
    }

    /// Of the read bandwidth, median of median; above 1 where the weights stay in the cache.
    package var shareOfReadBandwidth: Double? {
      bytesPerSecond.map { $0 / max(readBandwidth.median, 1) }
    }

    /// Multiplications and additions with weights; nil for decoding.
    package var operationsPerSecond: Double? {
      isDecode ? nil : tokensPerSecond.median / Double(test.tokens) * operations
    }
  }

  init(
    model: Model, plan: BenchmarkPlan.Resolved, kernels: String, peakMemoryBytes: Int, rows: [Row]
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
    self.peakMemoryBytes = peakMemoryBytes
    self.rows = rows
  }
}

extension ModelBenchmarkReport: BenchmarkReport {
  package var summary: [ReportField] {
    [
      ("machine", .text(Machine.processor)),
      ("processors", .integer(Machine.processorCount)),
      ("kernels", .text(kernels)),
      ("file", .text(file)),
      ("file_bytes", .integer(fileBytes)),
      ("bits_per_weight", .number(bitsPerWeight)),
      ("file_bits_per_weight", .number(fileBitsPerWeight)),
      ("weight_bytes_per_token", .integer(weightBytesPerToken)),
      ("context_length", .integer(contextLength)),
      ("cache_bits", .integer(cachePrecision.rawValue)),
      ("repetitions", .integer(repetitions)),
      ("peak_memory_bytes", .integer(peakMemoryBytes)),
    ]
  }

  package var measurements: [[ReportField]] {
    rows.map { row in
      [
        ("test", .text(row.test.kind)),
        ("threads", .integer(row.threads)),
        ("tokens", .integer(row.test.tokens)),
        ("depth", .integer(row.test.depth)),
        ("tokens_per_second", .number(row.tokensPerSecond.median)),
        ("tokens_per_second_minimum", .number(row.tokensPerSecond.minimum)),
        ("tokens_per_second_maximum", .number(row.tokensPerSecond.maximum)),
        ("weight_bytes_per_second", .number(row.bytesPerSecond)),
        ("read_bandwidth_bytes_per_second", .number(row.readBandwidth.median)),
        ("read_bandwidth_minimum", .number(row.readBandwidth.minimum)),
        ("read_bandwidth_maximum", .number(row.readBandwidth.maximum)),
        ("share_of_read_bandwidth", .number(row.shareOfReadBandwidth)),
        ("operations_per_second", .number(row.operationsPerSecond)),
      ]
    }
  }

  package var title: String {
    let name = file.split(separator: "/").last.map(String.init) ?? file
    return "\(machineWords), kernels \(kernels), \(name) (\(fixed(Double(fileBytes) / 1e6, 1)) MB,"
      + " \(fixed(bitsPerWeight, 2)) bits per weight),"
      + (cachePrecision == .half ? "" : " key/value cache of \(cachePrecision.rawValue) bits,")
      + " peak memory"
      + " \(fixed(Double(peakMemoryBytes) / 1e6, 1)) MB"
  }

  package var table: TextTable {
    TextTable(
      header: [
        "test", "threads", "tokens/s", "min – max", "GB/s", "read GB/s", "share", "GOPS",
      ],
      rows: rows.map { row in
        let rate = row.tokensPerSecond
        let place = row.test.depth > 0 ? " at \(row.test.depth)" : ""
        return [
          "\(row.test.kind) \(row.test.tokens)\(place)", "\(row.threads)", significant(rate.median),
          "\(significant(rate.minimum)) – \(significant(rate.maximum))",
          row.bytesPerSecond.map { fixed($0 / 1e9, 1) } ?? "–",
          fixed(row.readBandwidth.median / 1e9, 1),
          row.shareOfReadBandwidth.map { fixed($0, 2) } ?? "–",
          row.operationsPerSecond.map { fixed($0 / 1e9, 0) } ?? "–",
        ]
      })
  }
}
