import EmberKernels
import Foundation

/// How fast this machine's processors read memory: the limit of decoding, which reads every weight
/// once per token.
///
/// ```swift
/// let bandwidth = try ReadBandwidth()
/// let bytesPerSecond = bandwidth.measure(threads: 2)
/// ```
///
/// A buffer far larger than the last-level cache is summed up from front to back, in pieces that
/// the threads claim as they claim row groups of a matrix. On the machines tried, C with AVX2 and
/// with or without prefetch instructions reads no faster (`docs/json.md` says what is printed).
package final class ReadBandwidth: @unchecked Sendable {
  // Sendable because the buffer is not written after it was filled, and the workers of a pass
  // write disjoint places of `sums`.

  /// What is summed up; other measurements may read it too.
  let bytes: UnsafeRawBufferPointer
  private let sums: UnsafeMutablePointer<UInt64>
  private var teams: [Int: ThreadTeam] = [:]

  /// 4 MiB: long enough that starting on a piece costs nothing, short enough that no worker waits
  /// long for another.
  private static let pieceBytes = 4 << 20
  private static let largestPieceCount = 256

  private var pieceCount: Int { bytes.count / Self.pieceBytes }

  /// Takes 1 GiB, or a quarter of the memory that is available where that is less, and fills it.
  ///
  /// - Throws: `EvaluationError.outOfMemory`
  package init() throws(EvaluationError) {
    let pieces = min(Self.largestPieceCount, max(4, AvailableMemory.bytes / 4 / Self.pieceBytes))
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

  /// Bytes per second that `threads` threads read, the best of three passes.
  package func measure(threads: Int) -> Double {
    let team = teams[threads] ?? ThreadTeam(threadCount: threads, phaseCapacity: 1)
    teams[threads] = team
    let clock = ContinuousClock()
    var best = 0.0
    for _ in 0..<3 {
      let time = clock.measure {
        team.step { worker in worker.phase(pieces: pieceCount) { sum(piece: $0) } }
      }
      best = max(best, Double(pieceCount * Self.pieceBytes) / max(time / .seconds(1), 1e-9))
    }
    return best
  }

  /// The sum of all words; it makes the reading count, and tells that all was read.
  func checksum() -> UInt64 {
    _ = measure(threads: 1)
    return (0..<pieceCount).reduce(0) { $0 &+ sums[$1] }
  }

  private func sum(piece: Int) {
    guard let base = bytes.baseAddress else { return }
    let start = base + piece * Self.pieceBytes
    // Two sums of 64 bytes each take half of the 16 registers that every x86-64 has.
    var a = SIMD8<UInt64>(repeating: 0)
    var b = a
    var offset = 0
    // In bounds: a piece is a multiple of 128 bytes, and 64-byte aligned like the buffer.
    while offset < Self.pieceBytes {
      a &+= start.load(fromByteOffset: offset, as: SIMD8<UInt64>.self)
      b &+= start.load(fromByteOffset: offset + 64, as: SIMD8<UInt64>.self)
      offset += 128
    }
    sums[piece] = (a &+ b).wrappedSum()
  }
}
