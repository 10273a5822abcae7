/// What a benchmark of the kernels found.
package struct KernelBenchmarkReport: Sendable {
  package let repetitions: Int
  package let rows: [Row]

  /// One kernel of one instruction set on one number of threads.
  package struct Row: Sendable {
    package let kernels: String
    package let operation: String
    /// `memory` or `cache`: where most operands come from.
    package let place: String
    package let threads: Int
    package let seconds: Spread
    /// Read in that time.
    package let bytes: Int
    /// Multiplications and additions in that time; 0 where they are not what counts.
    package let operations: Int
    /// Bytes per second, on the same number of threads.
    package let readBandwidth: Spread

    package var bytesPerSecond: Double { Double(bytes) / max(seconds.median, 1e-9) }

    /// nil where the operands come from the cache, or count too little beside the arithmetic.
    package var shareOfReadBandwidth: Double? {
      place == "cache" || operations > 100 * bytes
        ? nil : bytesPerSecond / max(readBandwidth.median, 1)
    }

    package var operationsPerSecond: Double? {
      operations == 0 ? nil : Double(operations) / max(seconds.median, 1e-9)
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
        ("operands", .text(row.place)),
        ("threads", .integer(row.threads)),
        ("kernels", .text(row.kernels)),
        ("seconds", .number(row.seconds.median)),
        ("seconds_minimum", .number(row.seconds.minimum)),
        ("seconds_maximum", .number(row.seconds.maximum)),
        ("bytes_per_second", .number(row.bytesPerSecond)),
        ("read_bandwidth_bytes_per_second", .number(row.readBandwidth.median)),
        ("share_of_read_bandwidth", .number(row.shareOfReadBandwidth)),
        ("operations_per_second", .number(row.operationsPerSecond)),
      ]
    }
  }

  package var title: String {
    var threads: [Int] = []
    for row in rows where !threads.contains(row.threads) { threads.append(row.threads) }
    let bandwidths = threads.compactMap { count in
      rows.first { $0.threads == count }.map {
        "\(fixed($0.readBandwidth.median / 1e9, 1)) GB/s on \(count)"
      }
    }
    return "\(machineWords), read bandwidth \(bandwidths.joined(separator: ", "))"
      + " thread\(threads == [1] ? "" : "s")"
  }

  package var table: TextTable {
    TextTable(
      header: [
        "operation", "operands", "threads", "kernels", "µs", "min – max", "GB/s", "share", "GOPS",
      ],
      rows: rows.map { row in
        func microseconds(_ seconds: Double) -> String { significant(seconds * 1e6) }
        return [
          row.operation, row.place, "\(row.threads)", row.kernels,
          microseconds(row.seconds.median),
          "\(microseconds(row.seconds.minimum)) – \(microseconds(row.seconds.maximum))",
          fixed(row.bytesPerSecond / 1e9, 1),
          row.shareOfReadBandwidth.map { fixed($0, 2) } ?? "–",
          row.operationsPerSecond.map { fixed($0 / 1e9, 1) } ?? "–",
        ]
      })
  }
}
