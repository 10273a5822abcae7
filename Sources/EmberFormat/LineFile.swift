package import SystemPackage

#if canImport(Darwin)
  import Darwin
#elseif canImport(Musl)
  import Musl
#else
  import Glibc
#endif

/// A text file that grows by whole lines: whoever is killed leaves complete lines, and perhaps the
/// beginning of one, which the next run cuts off before it goes on.
///
/// ```swift
/// let file = try LineFile(continuing: "results.jsonl")
/// try file.readLines { index, line in … }
/// try file.append("{…}\n")   // on the disk when this returns
/// ```
///
/// One process at a time: a lock is held until the file closes.
package final class LineFile {
  package let path: FilePath
  private let file: OpenFile
  /// Bytes of the complete lines; everything is written behind them.
  private var end = 0

  /// The longest line that is read, in bytes; more is no line of ours.
  private static let lineLimit = 64 << 20

  /// Opens the file, or creates an empty one. Its content is not looked at, and not changed.
  ///
  /// - Throws: `FormatError.isDirectory`, `.notRegularFile`, `.cannotWrite`, `.diskFull`
  package init(continuing path: FilePath) throws(FormatError) {
    let descriptor: CInt
    do {
      // Without waiting: opening a pipe would otherwise hang.
      descriptor = try SystemCall.open(path, O_RDWR | O_CREAT | O_NONBLOCK, mode: 0o644)
    } catch .isDirectory {
      throw .isDirectory(path)
    } catch {
      throw .writing(path, operation: "open for writing", error)
    }
    file = OpenFile(descriptor: descriptor, path: path)
    self.path = path
    guard try file.status().isRegularFile else { throw .notRegularFile(path) }
    do {
      try SystemCall.lockWithoutWaiting(descriptor)
    } catch .wouldBlock {
      throw .cannotWrite(path, operation: "continue what another run is writing", .wouldBlock)
    } catch {
      // No locks on this file system.
    }
    Self.synchronizeFolder(of: path)
  }

  /// Hands out the complete lines, without the newline at their end, from the beginning. What is
  /// behind the last of them is cut off by the next `append`.
  ///
  /// - Throws: `FormatError`, and what `body` throws.
  package func readLines(_ body: (_ index: Int, _ line: [UInt8]) throws -> Void) throws {
    let size = try file.byteCount
    end = 0
    var index = 0
    var line: [UInt8] = []
    var offset = 0
    while offset < size {
      let chunk = try file.bytes(at: offset, count: min(1 << 20, size - offset))
      offset += chunk.count
      var rest = chunk[...]
      while let newline = rest.firstIndex(of: UInt8(ascii: "\n")) {
        line += rest[..<newline]
        rest = rest[(newline + 1)...]
        try body(index, line)
        end += line.count + 1
        index += 1
        line.removeAll(keepingCapacity: true)
      }
      line += rest
      if line.count > Self.lineLimit {
        throw FormatError.unreadable(
          path, operation: "read line \(index + 1) of more than \(Self.lineLimit) bytes",
          .fileTooLarge)
      }
    }
  }

  /// Writes behind the complete lines and waits until it is on the disk.
  ///
  /// - Parameter lines: one or several, each with a newline at its end.
  /// - Throws: `FormatError.cannotWrite`, `.diskFull`; the lines before are unharmed.
  package func append(_ lines: String) throws(FormatError) {
    let bytes = Array(lines.utf8)
    if try file.byteCount > end { try resize() }
    var result: Result<Void, FormatError> = .success(())
    bytes.withUnsafeBytes { bytes in
      result = Result { () throws(FormatError) in try file.write(bytes, at: end, for: path) }
    }
    if case .failure = result { try? resize() }
    try result.get()
    do {
      try SystemCall.synchronize(file.descriptor)
    } catch {
      throw .writing(path, operation: "sync", error)
    }
    end += bytes.count
  }

  private func resize() throws(FormatError) {
    do {
      try SystemCall.resize(file.descriptor, to: end)
    } catch {
      throw .writing(path, operation: "cut off an incomplete line", error)
    }
  }

  /// A new name is durable only when its folder is. A folder that cannot be synced is left to the
  /// kernel.
  private static func synchronizeFolder(of path: FilePath) {
    let parent = path.removingLastComponent()
    let folder = parent.isEmpty ? "." : parent
    guard let descriptor = try? SystemCall.open(folder, O_RDONLY | O_DIRECTORY) else { return }
    defer { SystemCall.close(descriptor) }
    try? SystemCall.synchronize(descriptor)
  }
}
