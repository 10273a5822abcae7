import Dispatch
import Synchronization
import SystemPackage

/// How fast a file's disk gives large pieces of it, read as weights that stream are: past the page
/// cache, several requests in flight.
///
/// ```swift
/// let bytesPerSecond = try DiskBandwidth.measure("model.q4")
/// ```
package enum DiskBandwidth {
  /// Requests in flight.
  private static let readers = 4

  /// Reads spread places of a file for a moment.
  ///
  /// - Parameters:
  ///   - byteLimit: the most to read.
  ///   - pieceBytes: of one request, a multiple of `UncachedFile.alignment`; memory takes four.
  /// - Returns: bytes per second; nil where the file is too small to tell, or where the system
  ///   cannot read past its page cache, which would be measured instead.
  /// - Throws: `FormatError`
  package static func measure(
    _ path: FilePath, byteLimit: Int = 512 << 20, timeLimit: Duration = .milliseconds(400),
    pieceBytes: Int = 4 << 20
  ) throws(FormatError) -> Double? {
    let (pieces, opened) = try open(path, pieceBytes: pieceBytes)
    guard let descriptor = opened else { return nil }
    defer { SystemCall.close(descriptor) }
    if pieces < readers { return nil }
    let memory: PrivateMemory
    do {
      memory = try PrivateMemory(byteCount: readers * pieceBytes)
    } catch {
      return nil
    }
    // From the front in order, as a pass does.
    let next = Atomic(0)
    let bytesRead = Atomic(0)
    let clock = ContinuousClock()
    let start = clock.now
    DispatchQueue.concurrentPerform(iterations: readers) { reader in
      let buffer = memory.bytes(reader * pieceBytes..<(reader + 1) * pieceBytes)
      while clock.now - start < timeLimit {
        let piece = next.add(1, ordering: .relaxed).oldValue
        guard piece < min(pieces, byteLimit / pieceBytes),
          let count = try? SystemCall.pread(descriptor, buffer, at: piece * pieceBytes), count > 0
        else { return }
        bytesRead.add(count, ordering: .relaxed)
      }
    }
    let seconds = (clock.now - start) / .seconds(1)
    let total = bytesRead.load(ordering: .relaxed)
    return total > 0 && seconds > 0 ? Double(total) / seconds : nil
  }
  /// How many pieces the file has, and a descriptor for reading it directly.
  private static func open(
    _ path: FilePath, pieceBytes: Int
  ) throws(FormatError) -> (pieces: Int, descriptor: CInt?) {
    let file = try OpenFile.reading(path)
    let pieces = try file.byteCount / pieceBytes
    return (pieces, try? SystemCall.reopenDirect(file.descriptor))
  }
}
