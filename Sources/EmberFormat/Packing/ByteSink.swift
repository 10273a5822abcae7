import SystemPackage

/// Where the bytes of a stream go: into a temporary file that becomes the target at the end, or to
/// standard output as they come.
struct ByteSink: ~Copyable {
  /// nil for standard output.
  private let temporary: Temporary?
  /// Bytes written so far.
  private(set) var position = 0

  /// Keeps the file; an optional of it could not be borrowed.
  private final class Temporary {
    var file: TemporaryFile
    init(_ file: consuming TemporaryFile) { self.file = file }
  }

  init(_ place: StreamPlace) throws(FormatError) {
    switch place {
    case .file(let path): temporary = Temporary(try TemporaryFile(replacing: path))
    case .standard: temporary = nil
    }
  }

  /// The file before it becomes the target, nil for standard output.
  var temporaryPath: FilePath? { temporary?.file.file.path }

  mutating func append(_ bytes: UnsafeRawBufferPointer) throws(FormatError) {
    if let temporary {
      try temporary.file.file.write(bytes, at: position, for: temporary.file.target)
    } else {
      var done = 0
      while done < bytes.count {
        do {
          done += try SystemCall.write(1, UnsafeRawBufferPointer(rebasing: bytes[done...]))
        } catch {
          throw .writing("standard output", operation: "write", error)
        }
      }
    }
    position += bytes.count
  }

  mutating func append(_ bytes: [UInt8]) throws(FormatError) {
    var result: Result<Void, FormatError> = .success(())
    bytes.withUnsafeBytes { bytes in
      do throws(FormatError) { try append(bytes) } catch { result = .failure(error) }
    }
    try result.get()
  }

  /// Makes the bytes durable and the target's.
  mutating func commit() throws(FormatError) {
    try temporary?.file.commit()
  }
}
