import CKernels
import Dispatch

/// Threads that compute one step together: workers are woken once per step, phases inside.
///
/// ```swift
/// team.step { worker in
///   worker.phase(pieces: 8) { piece in quantizeTile(piece) }
///   worker.phase(pieces: rowGroups) { group in multiply(group) }
/// }
/// ```
///
/// The caller's thread is the first worker. The others are Dispatch sources, which run on the
/// threads that Dispatch shares among everything in the process; they join the step that is open
/// when they come, or find it closed. In a phase the workers claim pieces from a counter and then
/// wait until all *pieces* are done; nothing waits for a worker to arrive. So a step also finishes
/// where no other worker comes: on one core, on a busy machine, with more workers than cores. A
/// wait spins briefly and then sleeps in the kernel, so an idle model uses no processor. Which
/// worker does a piece never changes what is computed.
///
/// A step allocates nothing, if its work is a `TeamWork`. (`DispatchQueue.concurrentPerform` takes
/// 2 blocks and one per worker, each time; waking a source takes none.)
public final class ThreadTeam: @unchecked Sendable {
  // Sendable because Dispatch's sources may be used from any thread, and all else is constant.

  public let threadCount: Int
  private let shared: SharedStep
  /// Each runs one worker besides the caller's.
  private let sources: [any DispatchSourceUserDataAdd]

  /// - Parameters:
  ///   - threadCount: workers per step, at least 1; at most 32,768.
  ///   - phaseCapacity: the most phases that a step may have.
  public init(threadCount: Int, phaseCapacity: Int) {
    self.threadCount = max(1, min(threadCount, Int(EMBER_GATE_SEATS) + 1))
    let shared = SharedStep(phaseCapacity: phaseCapacity)
    self.shared = shared
    sources = (1..<self.threadCount).map { _ in
      let source = DispatchSource.makeUserDataAddSource(queue: .global(qos: .userInitiated))
      // Not the team: it would never end.
      source.setEventHandler { shared.join() }
      source.activate()
      return source
    }
  }

  deinit {
    // Dispatch keeps a source, and what its handler holds, until it is cancelled.
    for source in sources { source.cancel() }
  }

  /// Runs `work` on every worker and returns when all phases are done. One step at a time.
  ///
  /// - Parameter workers: fewer than the team has where the step is too small for all, at least 1;
  ///   a single one runs on the caller's thread, without Dispatch.
  public func step<Work: TeamWork>(workers: Int? = nil, _ work: Work) {
    let workers = max(1, min(workers ?? threadCount, threadCount))
    if workers == 1 {
      var worker = Worker(step: shared, threadCount: 1)
      work.run(&worker)
      return
    }
    shared.run(work, workers: workers) {
      for i in 0..<workers - 1 { sources[i].add(data: 1) }
    }
  }

  /// Like `step(workers:_:)` with a `TeamWork`, but takes a block of memory.
  public func step(workers: Int? = nil, _ body: @Sendable (inout Worker) -> Void) {
    withoutActuallyEscaping(body) { step(workers: workers, ClosureWork(body: $0)) }
  }

  /// One thread's view of a step.
  public struct Worker: ~Copyable {
    private let step: SharedStep
    /// Workers of this step, at most.
    public let threadCount: Int
    private var current = 0
    /// Phases that were done, where there are other workers.
    var phaseCount: Int { current }

    init(step: SharedStep, threadCount: Int) {
      self.step = step
      self.threadCount = threadCount
    }

    /// Does `pieces` pieces of work, this worker's share of them here, and returns when all are
    /// done. Every worker must reach the same phases in the same order.
    public mutating func phase(pieces: Int, _ body: (Int) -> Void) {
      if threadCount == 1 {
        for piece in 0..<pieces { body(piece) }
        return
      }
      precondition(current < step.phaseCapacity, "more phases than the team was made for")
      let phase = step.phases + current
      current += 1
      let count = UInt32(pieces)
      var done: UInt32 = 0
      while true {
        let piece = ember_phase_claim(phase, count)
        if piece >= count { break }
        body(Int(piece))
        done += 1
      }
      if done > 0 { ember_phase_finish(phase, done, count) }
      ember_phase_wait(phase, count, SharedStep.spins)
    }

    /// Does `count` items in runs of neighbours: enough runs that no worker waits long for another,
    /// few enough that claiming them costs nothing. Runs begin at multiples of `unit`.
    public mutating func phase(
      dividing count: Int, unit: Int = 1, _ body: (Range<Int>) -> Void
    ) {
      let share = threadCount == 1 ? count : count / (threadCount * 8)
      let size = max(1, (share + unit - 1) / unit) * unit
      phase(pieces: (count + size - 1) / size) { piece in
        body(piece * size..<min(count, (piece + 1) * size))
      }
    }
  }
}
