import Dispatch
import SystemPackage

/// Frames that several threads work on together, each with memory of its own.
///
/// Unsafe in that the threads share the array of slots: each touches only its own.
struct FrameTeam {
  let slots: [Slot]

  /// One frame's memory.
  final class Slot: @unchecked Sendable {
    // Sendable because one thread works on a slot at a time: `run` hands each to one, and returns
    // when all are done.

    /// What to work on.
    var input: [UInt8] = []
    /// What came of it.
    var output: [UInt8] = []
    /// Of the output, for work that knows it beforehand.
    var outputBytes = 0
    /// What was found instead of something to work on.
    var failure: String?
    fileprivate let compressor: FrameCompressor?
    fileprivate let decompressor: FrameDecompressor?

    fileprivate init(compressor: FrameCompressor?, decompressor: FrameDecompressor?) {
      self.compressor = compressor
      self.decompressor = decompressor
    }
  }

  /// - Returns: nil where there is no memory.
  static func compressing(level: Int, threads: Int) -> FrameTeam? {
    let slots = (0..<max(1, threads)).compactMap { _ in
      FrameCompressor(level: level).map { Slot(compressor: $0, decompressor: nil) }
    }
    return slots.count == max(1, threads) ? FrameTeam(slots: slots) : nil
  }

  /// - Returns: nil where there is no memory.
  static func decompressing(threads: Int) -> FrameTeam? {
    let slots = (0..<max(1, threads)).compactMap { _ in
      FrameDecompressor().map { Slot(compressor: nil, decompressor: $0) }
    }
    return slots.count == max(1, threads) ? FrameTeam(slots: slots) : nil
  }

  /// Works on the first `count` slots, and returns when all are done.
  func run(_ count: Int) {
    let slots = slots
    if count == 1 {
      slots[0].work()
    } else {
      DispatchQueue.concurrentPerform(iterations: count) { slots[$0].work() }
    }
  }
}

extension FrameTeam.Slot {
  fileprivate func work() {
    failure = nil
    if let compressor {
      let succeeds = input.withUnsafeBytes { compressor.compress($0, into: &output) }
      if !succeeds { failure = "content that zstd cannot compress" }
    } else if let decompressor {
      if output.count != outputBytes { output = [UInt8](repeating: 0, count: outputBytes) }
      failure = output.withUnsafeMutableBytes { output in
        input.withUnsafeBytes { decompressor.decompress($0, into: output) }
      }
    }
  }

  /// With which a frame ends: the low half of its content's XXH64.
  static func checksum(ofFrame frame: [UInt8]) -> UInt32 {
    frame.count < 4 ? 0 : frame.littleEndian(UInt32.self, at: frame.count - 4)
  }
}
