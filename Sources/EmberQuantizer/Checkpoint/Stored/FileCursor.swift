/// Reads a file from front to back, little-endian, through a buffer of bounded size.
///
/// Every read is checked against the end of what may be read, so that a count out of the file can
/// be held against what is left: `remaining`.
struct FileCursor {
  let file: CheckpointFile
  /// Of the next byte, from the file's start.
  private(set) var offset: Int
  /// Where reading has to end.
  let end: Int

  private var buffer: [UInt8] = []
  private var bufferStart: Int
  private static let bufferBytes = 256 << 10

  init(_ file: CheckpointFile, from start: Int = 0, end: Int? = nil) {
    self.file = file
    offset = start
    bufferStart = start
    self.end = min(end ?? file.size, file.size)
  }

  /// Reading beyond the end.
  struct EndOfData: Error {
    let offset: Int
    let needed: Int
    let remaining: Int
  }

  enum Problem: Error {
    case end(EndOfData)
    case file(CheckpointError)
  }

  var remaining: Int { end - offset }

  /// The next byte.
  mutating func byte() throws(Problem) -> UInt8 {
    try require(1)
    defer { offset += 1 }
    return buffer[offset - bufferStart]
  }

  /// The next integer.
  mutating func integer<Value: FixedWidthInteger>(_ type: Value.Type) throws(Problem) -> Value {
    let count = Value.bitWidth / 8
    try require(count)
    var value: Value = 0
    let start = offset - bufferStart
    for index in (0..<count).reversed() {
      value = value &<< 8 | Value(truncatingIfNeeded: buffer[start + index])
    }
    offset += count
    return value
  }

  /// The next bytes; the caller bounds their number.
  mutating func bytes(_ count: Int) throws(Problem) -> [UInt8] {
    var result: [UInt8] = []
    try append(count, to: &result)
    return result
  }

  /// Adds the next bytes to some others; the caller bounds their number.
  mutating func append(_ count: Int, to result: inout [UInt8]) throws(Problem) {
    guard count <= remaining else { throw .end(missing(count)) }
    var left = count
    while left > 0 {
      try require(1)
      let start = offset - bufferStart
      let step = min(left, buffer.count - start)
      result.append(contentsOf: buffer[start..<(start + step)])
      offset += step
      left -= step
    }
  }

  /// The next bytes up to a newline, which is left out.
  mutating func line(limit: Int) throws(Problem) -> [UInt8] {
    var line: [UInt8] = []
    while true {
      let next = try byte()
      if next == UInt8(ascii: "\n") { return line }
      guard line.count < limit else { throw .end(missing(limit)) }
      line.append(next)
    }
  }

  private func missing(_ count: Int) -> EndOfData {
    EndOfData(offset: offset, needed: count, remaining: remaining)
  }

  /// Has the next bytes, few, in the buffer.
  private mutating func require(_ count: Int) throws(Problem) {
    if offset + count <= bufferStart + buffer.count { return }
    guard count <= remaining else { throw .end(missing(count)) }
    do throws(CheckpointError) {
      buffer = try file.bytes(in: offset..<min(end, offset + Self.bufferBytes))
    } catch {
      throw .file(error)
    }
    bufferStart = offset
  }
}
