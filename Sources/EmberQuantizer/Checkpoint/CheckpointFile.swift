import SystemPackage

/// A regular file open for reading at any offset, from any number of threads (`pread`).
final class CheckpointFile: Sendable {
  let path: FilePath
  /// Bytes of the file when it was opened.
  let size: Int
  private let descriptor: FileDescriptor

  /// Opens a file of at least one byte.
  init(opening path: FilePath) throws(CheckpointError) {
    let descriptor: FileDescriptor
    do {
      // Without `nonBlocking`, opening a named pipe waits for a writer that may never come.
      descriptor = try FileDescriptor.open(path, .readOnly, options: [.nonBlocking, .closeOnExec])
    } catch let errno as Errno where errno == .noSuchFileOrDirectory {
      throw .notFound(path: path)
    } catch {
      throw .unreadable(path: path, operation: "open it", errno: error as? Errno ?? .ioError)
    }
    var opened = false
    defer { if !opened { try? descriptor.close() } }
    let status: Stat
    do {
      status = try descriptor.stat()
    } catch {
      throw .unreadable(path: path, operation: "learn its size", errno: error)
    }
    guard status.type == .regular else { throw .notAFile(path: path) }
    guard status.size > 0 else { throw .emptyFile(path: path) }
    self.path = path
    self.descriptor = descriptor
    size = Int(status.size)
    opened = true
  }

  deinit { try? descriptor.close() }

  /// Fills `buffer` from the bytes at `offset`. Thread-safe.
  func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(CheckpointError) {
    var filled = 0
    while filled < buffer.count {
      let count: Int
      do {
        count = try descriptor.read(
          fromAbsoluteOffset: Int64(offset + filled),
          into: UnsafeMutableRawBufferPointer(rebasing: buffer[filled...]))
      } catch {
        throw .unreadable(path: path, operation: "read it", errno: error as? Errno ?? .ioError)
      }
      guard count > 0 else {
        throw .endedEarly(path: path, offset: offset + filled, missing: buffer.count - filled)
      }
      filled += count
    }
  }

  /// The bytes of a range that lies within the file.
  func bytes(in range: Range<Int>) throws(CheckpointError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: range.count)
    // The closure cannot throw a typed error and return: the result carries it.
    let result = bytes.withUnsafeMutableBytes { buffer -> CheckpointError? in
      do throws(CheckpointError) {
        try read(at: range.lowerBound, into: buffer)
        return nil
      } catch {
        return error
      }
    }
    if let result { throw result }
    return bytes
  }

  /// The whole of a file that may not have more than `limit` bytes.
  static func contents(of path: FilePath, limit: Int) throws(CheckpointError) -> [UInt8] {
    let file = try CheckpointFile(opening: path)
    guard file.size <= limit else {
      throw .tooLarge(path: path, limit: limit, found: file.size)
    }
    return try file.bytes(in: 0..<file.size)
  }
}
