import SystemPackage

#if canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// An open descriptor with its path, closed when it goes away.
package struct OpenFile: ~Copyable, Sendable {
  let descriptor: CInt
  package let path: FilePath

  /// Opens a regular file for reading.
  ///
  /// - Parameter name: the path that errors name; the same by default.
  package static func reading(
    _ path: FilePath, named name: FilePath? = nil
  ) throws(FormatError) -> OpenFile {
    let descriptor: CInt
    do {
      // Without waiting: opening a pipe would otherwise hang until someone writes to it.
      descriptor = try SystemCall.open(path, O_RDONLY | O_NONBLOCK)
    } catch {
      throw error == .noSuchFileOrDirectory
        ? .notFound(path) : .unreadable(path, operation: "open", error)
    }
    let file = OpenFile(descriptor: descriptor, path: name ?? path)
    let status = try file.status()
    if status.isDirectory { throw .isDirectory(path) }
    guard status.isRegularFile else { throw .notRegularFile(path) }
    return file
  }

  /// The same file for reads past the page cache, or nil where the system has none.
  func reopenedForDirectReading() -> OpenFile? {
    guard let descriptor = try? SystemCall.reopenDirect(descriptor) else { return nil }
    return OpenFile(descriptor: descriptor, path: path)
  }

  /// Tells the system that a range of the file is not worth keeping in memory.
  func forgetCached(_ range: Range<Int>) {
    SystemCall.forgetCached(descriptor, range)
  }

  deinit { SystemCall.close(descriptor) }

  package var byteCount: Int {
    get throws(FormatError) { try status().byteCount }
  }

  func status() throws(FormatError) -> SystemCall.Status {
    do {
      return try SystemCall.status(descriptor)
    } catch {
      throw .unreadable(path, operation: "read the size", error)
    }
  }

  /// Fills `buffer` from `offset` on; a file that ends earlier is truncated.
  package func read(
    into buffer: UnsafeMutableRawBufferPointer, at offset: Int
  ) throws(FormatError) {
    var done = 0
    while done < buffer.count {
      let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[done...])
      let count: Int
      do {
        count = try SystemCall.pread(descriptor, rest, at: offset + done)
      } catch {
        throw .unreadable(path, operation: "read", error)
      }
      guard count > 0 else {
        throw .truncated(path, expected: offset + buffer.count, found: offset + done)
      }
      done += count
    }
  }

  /// `count` bytes from `offset` on. The caller has capped `count`.
  package func bytes(at offset: Int, count: Int) throws(FormatError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    // Through a Result, because withUnsafeMutableBytes forgets the type of the error.
    let result = bytes.withUnsafeMutableBytes { buffer -> Result<Void, FormatError> in
      Result { () throws(FormatError) in try read(into: buffer, at: offset) }
    }
    try result.get()
    return bytes
  }

  /// Writes all of `buffer` at `offset`; `target` is the path that errors name.
  func write(
    _ buffer: UnsafeRawBufferPointer, at offset: Int, for target: FilePath
  ) throws(FormatError) {
    var done = 0
    while done < buffer.count {
      do {
        done += try SystemCall.pwrite(
          descriptor, UnsafeRawBufferPointer(rebasing: buffer[done...]), at: offset + done)
      } catch {
        throw .writing(target, operation: "write", error)
      }
    }
  }
}

extension FormatError {
  /// The error of a system call that writes: a full disk has a case of its own.
  static func writing(_ path: FilePath, operation: String, _ errno: Errno) -> FormatError {
    switch errno {
    case .noSpace, .diskQuotaExceeded, .fileTooLarge: .diskFull(path, errno)
    default: .cannotWrite(path, operation: operation, errno)
    }
  }
}
