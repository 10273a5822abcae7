import CKernels
import Dispatch

/// Threads that compute one step together: one Dispatch region per step, phases inside.
///
/// ```swift
/// team.step { worker in
///   worker.phase(pieces: 8) { piece in quantizeTile(piece) }
///   worker.phase(pieces: rowGroups) { group in multiply(group) }
/// }
/// ```
///
/// Every worker runs the same closure. In a phase the workers claim pieces from a counter and then
/// wait until all *pieces* are done; nothing waits for a worker to arrive. So a step also finishes
/// where Dispatch runs the workers one after another: on one core, on a busy machine, with more
/// workers than cores. A wait spins briefly and then sleeps in the kernel, so an idle model uses
/// no processor. Which worker does a piece never changes what is computed. One worker allocates
/// nothing; several, what Dispatch itself does per region: 2 + `threadCount` blocks of at most 64
/// bytes.
public final class ThreadTeam: @unchecked Sendable {
  // Sendable because a step touches the phases only through atomic operations.

  public let threadCount: Int
  private let phases: UnsafeMutablePointer<ember_phase>
  private let phaseCapacity: Int

  /// Pauses before a waiting worker sleeps: some tens of microseconds.
  private static let spins: UInt32 = 4000

  /// - Parameters:
  ///   - threadCount: workers per step, at least 1.
  ///   - phaseCapacity: the most phases that a step may have.
  public init(threadCount: Int, phaseCapacity: Int) {
    self.threadCount = max(1, threadCount)
    self.phaseCapacity = phaseCapacity
    phases =
      UnsafeMutableRawPointer.allocate(
        byteCount: phaseCapacity * MemoryLayout<ember_phase>.stride, alignment: 64
      ).bindMemory(to: ember_phase.self, capacity: phaseCapacity)
  }

  deinit { UnsafeMutableRawPointer(phases).deallocate() }

  /// Runs `body` on every worker and returns when all phases are done. One step at a time.
  ///
  /// - Parameter workers: fewer than the team has where the step is too small for all, at least 1;
  ///   a single one runs on the caller's thread, without Dispatch.
  public func step(workers: Int? = nil, _ body: @Sendable (inout Worker) -> Void) {
    let workers = max(1, min(workers ?? threadCount, threadCount))
    if workers == 1 {
      var worker = Worker(team: self, threadCount: 1)
      body(&worker)
      return
    }
    ember_phase_reset(phases, UInt32(phaseCapacity))
    DispatchQueue.concurrentPerform(iterations: workers) { _ in
      var worker = Worker(team: self, threadCount: workers)
      body(&worker)
    }
  }

  /// One thread's view of a step.
  public struct Worker: ~Copyable {
    private let team: ThreadTeam
    /// Workers of this step.
    public let threadCount: Int
    private var current = 0

    fileprivate init(team: ThreadTeam, threadCount: Int) {
      self.team = team
      self.threadCount = threadCount
    }

    /// Does `pieces` pieces of work, this worker's share of them here, and returns when all are
    /// done. Every worker must reach the same phases in the same order.
    public mutating func phase(pieces: Int, _ body: (Int) -> Void) {
      if threadCount == 1 {
        for piece in 0..<pieces { body(piece) }
        return
      }
      precondition(current < team.phaseCapacity, "more phases than the team was made for")
      let phase = team.phases + current
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
      ember_phase_wait(phase, count, ThreadTeam.spins)
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
