import CKernels
import EmberGeneration
import EmberKernels

/// How fast this machine's processors multiply and add: the limit of reading a prompt.
///
/// ```swift
/// let peak = ArithmeticPeak(.int8, of: .best)
/// let operationsPerSecond = peak.measure(threads: 2)
/// ```
///
/// A loop of the instruction set's fastest multiply-add, with nothing to load and as many
/// independent sums as the processor needs to be kept busy (`CKernels/peak.c`). A product of
/// matrices, which must also load, unpack and scale, stays below it.
package struct ArithmeticPeak: @unchecked Sendable {
  // Sendable because the loop is a function without state and a constant text.

  package enum Kind: Sendable {
    /// Of 8-bit integers, summed in 32 bits.
    case int8
    /// Of single precision.
    case f32
  }

  /// What the loop is made of, such as `vpdpbusd zmm`.
  package let instructions: String
  private let loop: ember_peak
  private let rounds: Int

  /// Pieces per thread: enough that no thread waits long for another.
  private static let pieces = 32

  /// The peak of a table's instruction set; that of the machine's best for tables without one of
  /// their own, scalar and portable.
  package init(_ kind: Kind, of kernels: Kernels) {
    loop = kind == .int8 ? ember_peak_int8(kernels.name) : ember_peak_f32(kernels.name)
    instructions = String(cString: loop.instructions)
    // A piece takes about a tenth of a millisecond.
    rounds = (kind == .int8 ? 40_000_000 : 10_000_000) / loop.operations
  }

  /// What the loop has added up after so many rounds.
  package func sum(rounds: Int) -> Float { loop.run(rounds) }

  /// Multiplications and additions per second on `threads` threads: the best of four passes.
  package func measure(threads: Int) -> Double {
    let team = ThreadTeam(threadCount: threads, phaseCapacity: 1)
    let clock = ContinuousClock()
    let pieces = Self.pieces * threads
    var best = 0.0
    for _ in 0..<4 {
      let time = clock.measure {
        // The compiler cannot look into the loop, so it cannot leave out what nobody uses.
        team.step { worker in worker.phase(pieces: pieces) { _ in _ = sum(rounds: rounds) } }
      }
      best = max(best, Double(pieces * rounds * loop.operations) / max(time.seconds, 1e-9))
    }
    return best
  }
}
