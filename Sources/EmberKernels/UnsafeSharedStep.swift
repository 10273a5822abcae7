import CKernels

/// The step that a team's workers join, whichever is open when they come.
///
/// It outlives its team while Dispatch may still run a worker that comes late. Unsafe, because the
/// work of the step is a pointer to a value on the stack of the thread that runs the step.
final class SharedStep: @unchecked Sendable {
  // Sendable because what is not atomic is written while the gate is closed and nobody is inside,
  // and read by workers inside and by the thread that opened it.

  let phases: UnsafeMutablePointer<ember_phase>
  let phaseCapacity: Int
  /// Phases that the last step used; the others are as new.
  private var usedPhases: Int
  private let gate: UnsafeMutablePointer<ember_gate>
  private var run: (work: UnsafeRawPointer, type: any TeamWork.Type, workers: Int)?

  /// Pauses before a waiting worker sleeps: some tens of microseconds.
  static let spins: UInt32 = 4000

  init(phaseCapacity: Int) {
    self.phaseCapacity = phaseCapacity
    usedPhases = phaseCapacity
    phases = Self.cacheLines(phaseCapacity)
    gate = Self.cacheLines(1)
    gate.initialize(to: ember_gate())
  }

  deinit {
    UnsafeMutableRawPointer(phases).deallocate()
    UnsafeMutableRawPointer(gate).deallocate()
  }

  private static func cacheLines<T>(_ count: Int) -> UnsafeMutablePointer<T> {
    UnsafeMutableRawPointer.allocate(
      byteCount: count * MemoryLayout<T>.stride, alignment: 64
    ).bindMemory(to: T.self, capacity: count)
  }

  /// Lets up to `workers` − 1 others join, calls `wakeUp`, does the work here too, and returns when
  /// it is done and nobody is inside.
  func run<Work: TeamWork>(_ work: borrowing Work, workers: Int, wakeUp: () -> Void) {
    ember_phase_reset(phases, UInt32(usedPhases))
    withUnsafePointer(to: work) { pointer in
      // The pointer is valid until this closure returns; by then the gate is closed again and
      // whoever was inside has left.
      run = (UnsafeRawPointer(pointer), Work.self, workers)
      ember_gate_open(gate, UInt32(workers - 1))
      wakeUp()
      usedPhases = Work.run(at: UnsafeRawPointer(pointer), on: self, workers: workers)
      ember_gate_close(gate, Self.spins)
      run = nil
    }
  }

  /// Works in the step that is open, if any.
  func join() {
    if ember_gate_enter(gate) == 0 { return }
    if let (work, type, workers) = run { _ = type.run(at: work, on: self, workers: workers) }
    ember_gate_leave(gate)
  }
}

extension TeamWork {
  /// Returns the number of phases, which is the same for every worker.
  fileprivate static func run(
    at work: UnsafeRawPointer, on step: SharedStep, workers: Int
  ) -> Int {
    var worker = ThreadTeam.Worker(step: step, threadCount: workers)
    // `run(_:workers:wakeUp:)` stored the address of a value of this type together with it.
    work.assumingMemoryBound(to: Self.self).pointee.run(&worker)
    return worker.phaseCount
  }
}
