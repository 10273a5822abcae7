import SystemPackage

/// Bytes one after another, from a file or from standard input.
struct ByteSource: ~Copyable {
  private static let capacity = 1 << 20

  /// The path that errors name.
  let path: FilePath
  /// nil where nobody knows before the end.
  let byteCount: Int?
  /// Bytes handed out so far.
  private(set) var position = 0

  /// nil for standard input.
  private let file: Opened?
  private var buffer = [UInt8](repeating: 0, count: Self.capacity)
  /// What the buffer holds and was not handed out yet.
  private var rest = 0..<0
  private var isAtEnd = false

  /// Keeps the file open; an optional of it could not be borrowed.
  private final class Opened {
    let file: OpenFile
    init(_ file: consuming OpenFile) { self.file = file }
  }

  init(_ place: StreamPlace) throws(FormatError) {
    switch place {
    case .file(let path):
      let opened = Opened(try OpenFile.reading(path))
      byteCount = try opened.file.byteCount
      file = opened
      self.path = path
    case .standard:
      file = nil
      byteCount = nil
      path = "standard input"
    }
  }

  /// Appends the next `count` bytes to `bytes`, fewer only at the end of the stream. The caller has
  /// capped `count`.
  mutating func read(_ count: Int, appendingTo bytes: inout [UInt8]) throws(FormatError) {
    var missing = count
    while missing > 0 {
      if rest.isEmpty { try fill() }
      let part = min(missing, rest.count)
      guard part > 0 else { return }
      bytes.append(contentsOf: buffer[rest.lowerBound..<rest.lowerBound + part])
      rest = rest.lowerBound + part..<rest.upperBound
      position += part
      missing -= part
    }
  }

  /// The next `count` bytes, fewer only at the end of the stream.
  mutating func read(_ count: Int) throws(FormatError) -> [UInt8] {
    var bytes: [UInt8] = []
    try read(count, appendingTo: &bytes)
    return bytes
  }

  /// The next bytes without taking them, at least `count` where the stream has them.
  mutating func peek(_ count: Int) throws(FormatError) -> [UInt8] {
    if rest.isEmpty { try fill() }
    return Array(buffer[rest].prefix(count))
  }

  private mutating func fill() throws(FormatError) {
    rest = 0..<0
    var filled = 0
    // Until it is full: pipes hand out little at a time.
    while filled < buffer.count, !isAtEnd {
      let descriptor = file?.file.descriptor ?? 0
      let result = buffer.withUnsafeMutableBytes { buffer -> Result<Int, Errno> in
        Result { () throws(Errno) in
          try SystemCall.read(
            descriptor, UnsafeMutableRawBufferPointer(rebasing: buffer[filled...]))
        }
      }
      switch result {
      case .success(0): isAtEnd = true
      case .success(let count): filled += count
      case .failure(let errno): throw .unreadable(path, operation: "read", errno)
      }
    }
    rest = 0..<filled
  }
}
