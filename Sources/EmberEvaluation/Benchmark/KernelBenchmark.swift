import EmberGeneration
import EmberKernels

/// Times single kernels, those of every instruction set side by side.
///
/// As for a model, every repetition goes through all measurements in turn and the first is not
/// counted. A measurement repeats its work until it takes some hundredths of a second; one that
/// takes long by itself, as those of the portable kernels do, is taken in the first round alone.
package struct KernelBenchmark {
  package let tables: [Kernels]
  package let threads: [Int]
  package let repetitions: Int

  /// - Parameter tables: by default all that this machine can run; the one that `EMBER_KERNELS`
  ///   names alone where it names one.
  package init(tables: [Kernels]? = nil, threads: [Int]? = nil, repetitions: Int = 5) {
    let chosen = Kernels.requestedName == nil ? nil : [Kernels.best]
    self.tables = tables ?? chosen ?? Kernels.available
    self.threads = threads ?? Set([1, ThreadCount.recommended]).sorted()
    self.repetitions = max(1, repetitions)
  }

  /// - Throws: `EvaluationError.outOfMemory`, `CancellationError`
  package func run(
    isCancelled: () -> Bool = { false }, progress: (_ done: Int, _ total: Int) -> Void = { _, _ in }
  ) throws -> KernelBenchmarkReport {
    let bandwidth = try ReadBandwidth()
    let works = KernelWorks.all(over: bandwidth.bytes)
    let teams = threads.map { ThreadTeam(threadCount: $0, phaseCapacity: KernelWorks.phases) }
    var entries: [Entry] = []
    for work in works {
      for lane in threads.indices where work.isThreaded || lane == 0 {
        for table in tables {
          entries.append(Entry(work: work, lane: lane, table: table))
        }
      }
    }
    // [lane][table]
    var peaks = threads.map { threads in
      tables.map { PeakSamples(threads: threads, kernels: $0) }
    }
    func measurePeaks() {
      for lane in threads.indices {
        let bytesPerSecond = bandwidth.measure(threads: threads[lane])
        for table in tables.indices { peaks[lane][table].measure(readBandwidth: bytesPerSecond) }
      }
    }
    let total = (repetitions + 1) * entries.count
    for repetition in 0...repetitions {
      measurePeaks()
      for index in entries.indices {
        entries[index].measure(on: teams[entries[index].lane], counting: repetition > 0)
        progress(repetition * entries.count + index + 1, total)
        if isCancelled() { throw CancellationError() }
      }
    }
    measurePeaks()
    return KernelBenchmarkReport(
      repetitions: repetitions, peaks: peaks.flatMap { $0.compactMap(\.peaks) },
      rows: entries.compactMap { entry in
        let table = tables.firstIndex { $0.name == entry.table.name }
        guard let seconds = Spread(entry.seconds), let table,
          let peaks = peaks[entry.lane][table].peaks
        else { return nil }
        return .init(
          operation: entry.work.name, place: entry.work.place, seconds: seconds,
          bytes: entry.work.bytes, operations: entry.work.operations,
          arithmetic: entry.work.arithmetic, peaks: peaks)
      })
  }
}

/// One kernel on one number of threads.
private struct Entry {
  let work: any KernelWork
  let lane: Int
  let table: Kernels
  /// Of one run of the work.
  var seconds: [Double] = []
  /// Runs per measurement.
  private var runs = 1
  private var isSlow = false

  init(work: any KernelWork, lane: Int, table: Kernels) {
    self.work = work
    self.lane = lane
    self.table = table
  }

  mutating func measure(on team: ThreadTeam, counting: Bool) {
    if isSlow { return }
    let clock = ContinuousClock()
    let start = clock.now
    for _ in 0..<runs { work.run(team, table) }
    let time = (clock.now - start).seconds / Double(runs)
    isSlow = !counting && time > 0.02
    if counting || isSlow {
      seconds.append(time)
    } else {
      // The first run is slower than the others, so this is rather too few than too many.
      runs = min(100_000, max(1, Int(0.03 / max(time, 1e-7))))
    }
  }
}
