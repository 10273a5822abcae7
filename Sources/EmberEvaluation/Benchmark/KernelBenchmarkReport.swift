/// What a benchmark of the kernels found.
package struct KernelBenchmarkReport: Sendable {
  package let repetitions: Int
  /// One per instruction set and number of threads.
  package let peaks: [MachinePeaks]
  package let rows: [Row]

  /// One kernel of one instruction set on one number of threads.
  package struct Row: ThroughputRow {
    package let operation: String
    package let place: KernelOperands
    package let seconds: Spread
    /// Read in that time.
    package let bytes: Int
    /// Multiplications and additions in that time; 0 where they are not what counts.
    package let operations: Int
    /// Which peak the operations compare with.
    package let arithmetic: ArithmeticPeak.Kind
    /// Of the same instruction set and number of threads.
    package let peaks: MachinePeaks

    package var bytesPerSecond: Double? { Double(bytes) / max(seconds.median, 1e-9) }

    /// Not where the operands come from the cache, or count too little beside the arithmetic.
    package var isReading: Bool { place == .memory && operations <= 100 * bytes }

    package var operationsPerSecond: Double? {
      operations == 0 ? nil : Double(operations) / max(seconds.median, 1e-9)
    }
  }
}

extension KernelBenchmarkReport: BenchmarkReport {
  package var summary: [ReportField] {
    Machine.fields + [("repetitions", .integer(repetitions))]
  }

  package var measurements: [[ReportField]] {
    rows.map { row in
      [
        ("operation", .text(row.operation)),
        ("operands", .text(row.place.rawValue)),
        ("threads", .integer(row.peaks.threads)),
        ("kernels", .text(row.peaks.kernels)),
      ] + row.seconds.fields("seconds") + row.throughputFields
    }
  }

  package var blocks: [MarkdownBlock] {
    [
      .paragraph("\(machineWords); medians of \(repetitions)")
    ] + MachinePeaks.blocks(peaks) + [.table(table)]
  }

  private var table: TextTable {
    TextTable(
      header: ["operation", "operands", "threads", "kernels", "µs", "min – max"]
        + Row.readingHeader + Row.arithmeticHeader,
      rows: rows.map { row in
        [row.operation, row.place.rawValue, "\(row.peaks.threads)", row.peaks.kernels]
          + row.seconds.words { BenchmarkText.significant($0 * 1e6) }
          + row.readingWords + row.arithmeticWords(decimals: 1)
      })
  }
}
