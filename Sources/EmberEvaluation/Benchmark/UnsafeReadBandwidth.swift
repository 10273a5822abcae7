import EmberGeneration
import EmberKernels
import EmberModel
import Foundation

/// How fast this machine's processors read memory: the limit of decoding, which reads every weight
/// once per token.
///
/// ```swift
/// let bandwidth = try ReadBandwidth()
/// let bytesPerSecond = bandwidth.measure(threads: 2)
/// ```
///
/// A buffer far larger than the last-level cache is summed up in pieces that the threads claim as
/// they claim row groups of a matrix: each piece from front to back, and again as four streams side
/// by side. Which is faster depends on the machine and on who else uses it, so the better one
/// counts. Together they reach what a loop in C with AVX2 reaches, with prefetch instructions or
/// without.
package final class ReadBandwidth: @unchecked Sendable {
  // Sendable because the buffer is not written after it was filled, and the workers of a pass
  // write disjoint places of `sums`.

  /// What is summed up; other measurements may read it too.
  package let bytes: UnsafeRawBufferPointer
  private let sums: UnsafeMutablePointer<UInt64>
  private var teams: [Int: ThreadTeam] = [:]

  /// 4 MiB: long enough that starting on a piece costs nothing, short enough that no worker waits
  /// long for another.
  private static let pieceBytes = 4 << 20

  private var pieceCount: Int { bytes.count / Self.pieceBytes }

  /// Takes memory and fills it.
  ///
  /// - Parameter limit: the most bytes to take, 16 MiB or more; a quarter of the memory that is
  ///   available is enough too.
  /// - Throws: `EvaluationError.outOfMemory`
  package init(limit: Int = 1 << 30) throws(EvaluationError) {
    let pieces = max(4, min(limit, AvailableMemory.bytes / 4) / Self.pieceBytes)
    let count = pieces * Self.pieceBytes
    var memory: UnsafeMutableRawPointer?
    // Unlike `allocate`, it can fail without ending the process.
    guard posix_memalign(&memory, 4096, count) == 0, let memory else {
      throw .outOfMemory(bytes: count, purpose: "measurement of the read bandwidth")
    }
    // Pages that were never written are all one page of zeros, which stays in the cache.
    RandomWeights.fill(UnsafeMutableRawBufferPointer(start: memory, count: count))
    bytes = UnsafeRawBufferPointer(start: memory, count: count)
    sums = .aligned(pieces)
    sums.initialize(repeating: 0, count: pieces)
  }

  deinit {
    // From posix_memalign, so free is right; nothing outlives this object that reads it.
    free(UnsafeMutableRawPointer(mutating: bytes.baseAddress))
    sums.deallocate()
  }

  /// Bytes per second that `threads` threads read: the best of four passes, two of each kind.
  package func measure(threads: Int) -> Double {
    let team = teams[threads] ?? ThreadTeam(threadCount: threads, phaseCapacity: 1)
    teams[threads] = team
    let clock = ContinuousClock()
    var best = 0.0
    for pass in 0..<4 {
      let time = clock.measure {
        team.step { worker in
          worker.phase(pieces: pieceCount) { sum(piece: $0, streams: pass % 2 == 0 ? 1 : 4) }
        }
      }
      best = max(best, Double(bytes.count) / max(time.seconds, 1e-9))
    }
    return best
  }

  /// The sum of all words that the last measurement found; it tells whether all was read.
  package var checksum: UInt64 { (0..<pieceCount).reduce(0) { $0 &+ sums[$1] } }

  private func sum(piece: Int, streams: Int) {
    guard let base = bytes.baseAddress else { return }
    let start = base + piece * Self.pieceBytes
    // In bounds: a piece is a multiple of 256 bytes, and 64-byte aligned like the buffer. Two sums
    // of 64 bytes take half of the registers that every x86-64 has.
    var a = SIMD8<UInt64>(repeating: 0)
    var b = a
    @inline(__always)
    func load(_ offset: Int) -> SIMD8<UInt64> {
      start.load(fromByteOffset: offset, as: SIMD8<UInt64>.self)
    }
    if streams == 1 {
      for offset in stride(from: 0, to: Self.pieceBytes, by: 128) {
        a &+= load(offset)
        b &+= load(offset + 64)
      }
    } else {
      let quarter = Self.pieceBytes / 4
      for offset in stride(from: 0, to: quarter, by: 64) {
        a &+= load(offset)
        b &+= load(offset + quarter)
        a &+= load(offset + 2 * quarter)
        b &+= load(offset + 3 * quarter)
      }
    }
    sums[piece] = (a &+ b).wrappedSum()
  }
}
