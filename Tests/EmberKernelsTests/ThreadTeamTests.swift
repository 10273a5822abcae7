import EmberKernels
import Synchronization
import Testing

@Suite("The thread team")
struct ThreadTeamTests {
  @Test("phases are done in order, each piece once", arguments: [1, 2, 3, 8, 33])
  func order(threads: Int) {
    let team = ThreadTeam(threadCount: threads, phaseCapacity: 50)
    let pieces = Atomic<Int>(0)
    let faults = Atomic<Int>(0)
    for _ in 0..<40 {
      pieces.store(0, ordering: .relaxed)
      team.step { worker in
        for phase in 0..<50 {
          worker.phase(pieces: 7) { _ in
            // All pieces of the phases before, and none of a later one.
            let before = pieces.add(1, ordering: .sequentiallyConsistent).oldValue
            if before < phase * 7 || before >= (phase + 1) * 7 {
              faults.add(1, ordering: .relaxed)
            }
          }
        }
      }
      #expect(pieces.load(ordering: .relaxed) == 350)
    }
    #expect(faults.load(ordering: .relaxed) == 0)
  }

  @Test("work is divided without gap or overlap")
  func dividing() {
    for threads in [1, 2, 5] {
      let team = ThreadTeam(threadCount: threads, phaseCapacity: 1)
      for count in [1, 2, 7, 16, 100, 1000] {
        let seen = (0..<count).map { _ in AtomicCount() }
        team.step { worker in
          worker.phase(dividing: count) { range in for i in range { seen[i].increment() } }
        }
        let counts = seen.map(\.value)
        #expect(counts == Array(repeating: 1, count: count), "\(threads) threads")
      }
    }
  }

  @Test("work as a value", arguments: [1, 2, 5])
  func value(threads: Int) {
    let team = ThreadTeam(threadCount: threads, phaseCapacity: 3)
    for count in [1, 100] {
      let counting = Counting(seen: (0..<count).map { _ in AtomicCount() })
      for _ in 0..<20 { team.step(counting) }
      #expect(counting.seen.map(\.value) == Array(repeating: 60, count: count))
    }
  }
}

/// Three phases, each of which counts every item.
private struct Counting: TeamWork {
  let seen: [AtomicCount]

  func run(_ worker: inout ThreadTeam.Worker) {
    for _ in 0..<3 {
      worker.phase(dividing: seen.count) { range in for i in range { seen[i].increment() } }
    }
  }
}

private final class AtomicCount: Sendable {
  private let count = Atomic<Int>(0)
  func increment() { count.add(1, ordering: .relaxed) }
  var value: Int { count.load(ordering: .relaxed) }
}
