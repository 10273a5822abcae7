/// A row of a benchmark's report: how fast something ran, and beside it what the machine can do.
package protocol ThroughputRow: Sendable {
  /// nil where bytes are not what counts.
  var bytesPerSecond: Double? { get }
  /// Whether these bytes compare with the read bandwidth.
  var isReading: Bool { get }
  /// Multiplications and additions; nil where they are not what counts.
  var operationsPerSecond: Double? { get }
  /// Which peak the operations compare with.
  var arithmetic: ArithmeticPeak.Kind { get }
  /// On the same number of threads.
  var peaks: MachinePeaks { get }
}

extension ThroughputRow {
  /// Median of median; above 1 where the operands stay in the cache.
  package var shareOfReadBandwidth: Double? {
    isReading ? bytesPerSecond.map { $0 / max(peaks.readBandwidth.median, 1) } : nil
  }

  /// Of `arithmetic`, median of median.
  package var shareOfArithmeticPeak: Double? {
    let peak = arithmetic == .int8 ? peaks.int8 : peaks.f32
    return operationsPerSecond.map { $0 / max(peak.median, 1) }
  }

  /// The last fields of every row.
  var throughputFields: [ReportField] {
    [
      ("bytes_per_second", .number(bytesPerSecond)),
      ("share_of_read_bandwidth", .number(shareOfReadBandwidth)),
      ("operations_per_second", .number(operationsPerSecond)),
      ("share_of_arithmetic_peak", .number(shareOfArithmeticPeak)),
    ] + peaks.fields
  }

  static var readingHeader: [String] { ["GB/s", "of read"] }

  var readingWords: [String] {
    [
      BenchmarkText.optional(bytesPerSecond.map { $0 / 1e9 }, 1),
      BenchmarkText.optional(shareOfReadBandwidth, 2),
    ]
  }

  static var arithmeticHeader: [String] { ["GOPS", "of peak"] }

  /// - Parameter decimals: of the first.
  func arithmeticWords(decimals: Int) -> [String] {
    [
      BenchmarkText.optional(operationsPerSecond.map { $0 / 1e9 }, decimals),
      BenchmarkText.optional(shareOfArithmeticPeak, 2),
    ]
  }
}
