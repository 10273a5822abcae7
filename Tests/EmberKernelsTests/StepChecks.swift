import EmberKernels
import Synchronization
import Testing

/// Many steps of many tiny phases, each piece of which is counted and computes on the results of the
/// phase before: a piece that is lost, done twice or too early shows in the counts or in the result.
final class StepChecks: Sendable {
  private static let phases = 40
  private static let pieces = 13

  private let team: ThreadTeam
  private let counts: [Counter]
  /// Pieces that began before the phase before them had ended.
  private let early = Counter()

  init(threads: Int) {
    team = ThreadTeam(threadCount: threads, phaseCapacity: Self.phases)
    counts = (0..<Self.phases * Self.pieces).map { _ in Counter() }
  }

  /// Runs steps and checks each of them; `workers` is that of a step.
  func run(steps: Int, workers: Int? = nil) {
    let expected = Self.reference()
    for _ in 0..<steps {
      for count in counts { count.value.store(0, ordering: .relaxed) }
      // [phases][pieces]
      let results = UnsafeResults(count: Self.phases * Self.pieces)
      team.step(workers: workers) { worker in
        for phase in 0..<Self.phases {
          worker.phase(pieces: Self.pieces) { piece in
            let before = (phase - 1) * Self.pieces..<phase * Self.pieces
            if phase > 0, before.contains(where: { self.counts[$0].isZero }) {
              self.early.increment()
            }
            let place = phase * Self.pieces + piece
            results[place] = Self.result(phase, piece) { results[before.lowerBound + $0] }
            self.counts[place].increment()
          }
        }
      }
      #expect(counts.allSatisfy { $0.value.load(ordering: .relaxed) == 1 })
      #expect(early.isZero)
      #expect(results.bits == expected)
    }
  }

  /// The bits that a single thread computes.
  private static func reference() -> [UInt32] {
    var results: [Float] = []
    for phase in 0..<phases {
      let last = results.suffix(pieces)
      for piece in 0..<pieces {
        results.append(result(phase, piece) { last[last.startIndex + $0] })
      }
    }
    return results.map(\.bitPattern)
  }

  /// Depends on all pieces of the phase before, and on their order.
  private static func result(_ phase: Int, _ piece: Int, before: (Int) -> Float) -> Float {
    var sum = Float(piece + 1) / 3
    if phase > 0 { for i in 0..<pieces { sum = sum * 0.3 + before(i) * 0.7 } }
    return sum
  }
}

/// A count that any thread may add to.
final class Counter: Sendable {
  let value = Atomic<Int>(0)
  func increment() { value.add(1, ordering: .relaxed) }
  var isZero: Bool { value.load(ordering: .relaxed) == 0 }
}

/// Floats that several threads write, each its own: unsafe, because only the phases order them.
private final class UnsafeResults: @unchecked Sendable {
  private let memory: UnsafeMutableBufferPointer<Float>

  init(count: Int) {
    memory = .allocate(capacity: count)
    memory.initialize(repeating: .nan)
  }

  deinit { memory.deallocate() }

  subscript(index: Int) -> Float {
    get { memory[index] }
    set { memory[index] = newValue }
  }

  var bits: [UInt32] { memory.map(\.bitPattern) }
}
