/// Brings ranges of a model file's mapping into memory, one window after another, faster than
/// touching them would: the system reads a whole window in large requests.
///
/// ```swift
/// var reading = ReadAhead(file, ranges)
/// while !reading.isDone { reading.advance() }
/// ```
///
/// It reads in the order of the ranges, so that a computation which goes the same way may start at
/// once and is only slowed down where it catches up. It never fails: what cannot be read ahead is
/// read when it is computed on, and errors are met there. It fills the page
/// cache and nothing else, so ranges that do not fit into memory are not for it.
package struct ReadAhead: ~Copyable {
  /// Bytes per call: large enough for the disk's own speed, small enough that a disk of 200 MB/s
  /// reports six times a second. Other sizes have not been compared on a cold file.
  package static let windowBytes = 32 << 20

  package let totalBytes: Int
  package private(set) var bytesDone = 0

  private let file: ModelFile
  private let windows: [Range<Int>]
  private var next = 0
  private var canPopulate: Bool
  /// Where bytes go that only have to pass by; empty until that is needed.
  private var buffer: [UInt8] = []

  /// - Parameter populating: false takes the way of systems that cannot populate a mapping.
  package init(
    _ file: ModelFile, _ ranges: [Range<Int>], windowBytes: Int = Self.windowBytes,
    populating: Bool = true
  ) {
    self.file = file
    canPopulate = populating
    windows = ranges.flatMap { range in
      stride(from: range.lowerBound, to: range.upperBound, by: windowBytes).map {
        $0..<min($0 + windowBytes, range.upperBound)
      }
    }
    totalBytes = ranges.reduce(0) { $0 + $1.count }
  }

  package var isDone: Bool { next == windows.count }

  /// Reads the next window and returns when it is in memory.
  package mutating func advance() {
    guard !isDone else { return }
    let window = windows[next]
    next += 1
    bytesDone += window.count
    if canPopulate, file.mapping.populate(window) { return }
    // Not on this system, or not these pages: reading them fills the page cache as well, and an
    // error is no signal. The window after it is asked for, to keep the disk busy meanwhile.
    canPopulate = false
    if !isDone { file.advise(willNeed: windows[next]) }
    read(window)
  }

  private mutating func read(_ window: Range<Int>) {
    if buffer.isEmpty { buffer = [UInt8](repeating: 0, count: 1 << 20) }
    for start in stride(from: window.lowerBound, to: window.upperBound, by: buffer.count) {
      let count = min(buffer.count, window.upperBound - start)
      let isRead = buffer.withUnsafeMutableBytes { buffer in
        let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
        return (try? file.read(into: part, at: start)) != nil
      }
      if !isRead { return }
    }
  }
}
