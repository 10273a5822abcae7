import EmberKernels

/// What the machine can do on some number of threads, measured between the tests.
package struct MachinePeaks: Sendable {
  package let threads: Int
  /// The instruction set whose arithmetic was measured.
  package let kernels: String
  /// Bytes per second.
  package let readBandwidth: Spread
  /// Multiplications and additions per second.
  package let int8, f32: Spread
  package let int8Instructions, f32Instructions: String

  /// The same in every row that was measured on as many threads.
  var fields: [ReportField] {
    [
      ("read_bandwidth_bytes_per_second", .number(readBandwidth.median)),
      ("read_bandwidth_minimum", .number(readBandwidth.minimum)),
      ("read_bandwidth_maximum", .number(readBandwidth.maximum)),
      ("int8_peak_operations_per_second", .number(int8.median)),
      ("int8_peak_minimum", .number(int8.minimum)),
      ("int8_peak_maximum", .number(int8.maximum)),
      ("int8_peak_instructions", .text(int8Instructions)),
      ("f32_peak_operations_per_second", .number(f32.median)),
      ("f32_peak_minimum", .number(f32.minimum)),
      ("f32_peak_maximum", .number(f32.maximum)),
      ("f32_peak_instructions", .text(f32Instructions)),
    ]
  }

  /// The peaks, and how they were measured.
  static func blocks(_ peaks: [MachinePeaks]) -> [MarkdownBlock] {
    [.table(table(peaks)), .paragraph(instructions(peaks))]
  }

  /// One row each.
  private static func table(_ peaks: [MachinePeaks]) -> TextTable {
    TextTable(
      header: [
        "peaks of", "threads", "read GB/s", "min – max", "int8 GOPS", "min – max", "f32 GOPS",
        "min – max",
      ],
      rows: peaks.map { peak in
        [peak.kernels, "\(peak.threads)"]
          + [(peak.readBandwidth, 1), (peak.int8, 0), (peak.f32, 0)].flatMap { spread, decimals in
            spread.words { BenchmarkText.fixed($0 / 1e9, decimals) }
          }
      })
  }

  /// The loops of each instruction set, in words.
  private static func instructions(_ peaks: [MachinePeaks]) -> String {
    var loops: [(kernels: [String], words: String)] = []
    for peak in peaks {
      let words = "int8 by \(peak.int8Instructions); f32 by \(peak.f32Instructions)."
      let index = loops.firstIndex { $0.words == words } ?? loops.count
      if index == loops.count { loops.append(([], words)) }
      if !loops[index].kernels.contains(peak.kernels) { loops[index].kernels.append(peak.kernels) }
    }
    return "Peaks of the arithmetic: "
      + loops.map { "\($0.kernels.joined(separator: ", ")) \($0.words)" }.joined(separator: " ")
  }
}

/// Collects the samples of `MachinePeaks`.
struct PeakSamples {
  let threads: Int
  private let kernels: String
  private let loops: (int8: ArithmeticPeak, f32: ArithmeticPeak)
  private var readBandwidth: [Double] = []
  private var int8: [Double] = []
  private var f32: [Double] = []

  init(threads: Int, kernels: Kernels) {
    self.threads = threads
    self.kernels = kernels.name
    loops = (ArithmeticPeak(.int8, of: kernels), ArithmeticPeak(.f32, of: kernels))
  }

  /// - Parameter readBandwidth: bytes per second on as many threads, measured now.
  mutating func measure(readBandwidth bytesPerSecond: Double) {
    readBandwidth.append(bytesPerSecond)
    int8.append(loops.int8.measure(threads: threads))
    f32.append(loops.f32.measure(threads: threads))
  }

  /// nil before the first measurement.
  var peaks: MachinePeaks? {
    guard let readBandwidth = Spread(readBandwidth), let int8 = Spread(int8), let f32 = Spread(f32)
    else { return nil }
    return MachinePeaks(
      threads: threads, kernels: kernels, readBandwidth: readBandwidth, int8: int8, f32: f32,
      int8Instructions: loops.int8.instructions, f32Instructions: loops.f32.instructions)
  }
}
