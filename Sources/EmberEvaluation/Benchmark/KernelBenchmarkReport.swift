/// What a benchmark of the kernels found.
package struct KernelBenchmarkReport: Sendable {
  package let repetitions: Int
  /// One per instruction set and number of threads.
  package let peaks: [MachinePeaks]
  package let rows: [Row]

  /// One kernel of one instruction set on one number of threads.
  package struct Row: Sendable {
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

    package var bytesPerSecond: Double { Double(bytes) / max(seconds.median, 1e-9) }

    /// nil where the operands come from the cache, or count too little beside the arithmetic.
    package var shareOfReadBandwidth: Double? {
      place == .cache || operations > 100 * bytes
        ? nil : bytesPerSecond / max(peaks.readBandwidth.median, 1)
    }

    package var operationsPerSecond: Double? {
      operations == 0 ? nil : Double(operations) / max(seconds.median, 1e-9)
    }

    package var shareOfArithmeticPeak: Double? {
      let peak = arithmetic == .int8 ? peaks.int8 : peaks.f32
      return operationsPerSecond.map { $0 / max(peak.median, 1) }
    }
  }
}

extension KernelBenchmarkReport: BenchmarkReport {
  package var summary: [ReportField] {
    [
      ("machine", .text(Machine.processor)),
      ("processors", .integer(Machine.processorCount)),
      ("repetitions", .integer(repetitions)),
    ]
  }

  package var measurements: [[ReportField]] {
    rows.map { row in
      [
        ("operation", .text(row.operation)),
        ("operands", .text(row.place.rawValue)),
        ("threads", .integer(row.peaks.threads)),
        ("kernels", .text(row.peaks.kernels)),
        ("seconds", .number(row.seconds.median)),
        ("seconds_minimum", .number(row.seconds.minimum)),
        ("seconds_maximum", .number(row.seconds.maximum)),
        ("bytes_per_second", .number(row.bytesPerSecond)),
        ("share_of_read_bandwidth", .number(row.shareOfReadBandwidth)),
        ("operations_per_second", .number(row.operationsPerSecond)),
        ("share_of_arithmetic_peak", .number(row.shareOfArithmeticPeak)),
      ] + row.peaks.fields
    }
  }

  package var blocks: [MarkdownBlock] {
    [
      .paragraph("\(machineWords); medians of \(repetitions)"),
      .table(MachinePeaks.table(peaks)),
      .paragraph(MachinePeaks.instructions(peaks)),
      .table(table),
    ]
  }

  private var table: TextTable {
    TextTable(
      header: [
        "operation", "operands", "threads", "kernels", "µs", "min – max", "GB/s", "of read", "GOPS",
        "of peak",
      ],
      rows: rows.map { row in
        [row.operation, row.place.rawValue, "\(row.peaks.threads)", row.peaks.kernels]
          + row.seconds.words { BenchmarkText.significant($0 * 1e6) }
          + [
            BenchmarkText.fixed(row.bytesPerSecond / 1e9, 1),
            BenchmarkText.optional(row.shareOfReadBandwidth, 2),
            BenchmarkText.optional(row.operationsPerSecond.map { $0 / 1e9 }, 1),
            BenchmarkText.optional(row.shareOfArithmeticPeak, 2),
          ]
      })
  }
}
