import Dispatch
import EmberKernels
import Foundation
import Synchronization
import Testing

/// Steps where threads are scarce: none may hang, and results are those of one thread.
@Suite("The thread team under stress", .serialized)
struct ThreadStressTests {
  @Test("more workers than cores", arguments: [1, 2, 3, 8, 32])
  func manyWorkers(threads: Int) {
    let watchdog = Watchdog()
    defer { watchdog.stop() }
    StepChecks(threads: threads).run(steps: 500)
  }

  @Test("steps of more and fewer workers in turn")
  func fewerWorkers() {
    let watchdog = Watchdog()
    defer { watchdog.stop() }
    let checks = StepChecks(threads: 4)
    for workers in [1, 4, 2, 0, 9, 1, 3] { checks.run(steps: 5, workers: workers) }
  }

  @Test("a Dispatch pool full of sleeping work", arguments: [2, 8])
  func saturatedPool(threads: Int) {
    let watchdog = Watchdog()
    defer { watchdog.stop() }
    let gate = DispatchSemaphore(value: 0)
    let group = DispatchGroup()
    let sleepers = 200
    for _ in 0..<sleepers { DispatchQueue.global().async(group: group) { gate.wait() } }
    StepChecks(threads: threads).run(steps: 60)
    for _ in 0..<sleepers { gate.signal() }
    group.wait()
  }

  @Test("several teams at once, inside tasks and an actor")
  func tasks() async {
    let watchdog = Watchdog()
    defer { watchdog.stop() }
    await withTaskGroup(of: Void.self) { group in
      for threads in [1, 2, 3, 8] { group.addTask { await Owner(threads: threads).run() } }
    }
  }

  @Test("inside other parallel work")
  func nested() {
    let watchdog = Watchdog()
    defer { watchdog.stop() }
    DispatchQueue.concurrentPerform(iterations: 4) { index in
      StepChecks(threads: 1 + index).run(steps: 20)
    }
  }

  @Test("beside busy threads of the same priority", arguments: [2, 3, 8])
  func busy(threads: Int) {
    let watchdog = Watchdog()
    defer { watchdog.stop() }
    let (started, isOver) = (DispatchSemaphore(value: 0), Counter())
    let spinners = ProcessInfo.processInfo.activeProcessorCount + 1
    for _ in 0..<spinners {
      Thread {
        started.signal()
        while isOver.isZero {}
      }.start()
    }
    for _ in 0..<spinners { started.wait() }
    // Long enough that workers lose their processors in the middle of pieces.
    StepChecks(threads: threads).run(steps: 500)
    isOver.increment()
  }
}

private actor Owner {
  private let checks: StepChecks

  init(threads: Int) { checks = StepChecks(threads: threads) }

  func run() { checks.run(steps: 40) }
}
