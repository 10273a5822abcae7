import SystemPackage

/// Reads a tokenizer's file whole, once, at conversion.
enum TokenizerFile {
  /// Real ones are below 40 MB; the limit keeps every offset in 32 bits and memory in bounds.
  static let byteLimit = 128 << 20

  static func exists(_ path: FilePath) -> Bool {
    guard let file = try? FileDescriptor.open(path, .readOnly) else { return false }
    try? file.close()
    return true
  }

  /// - Parameter atMost: stops after so many bytes.
  static func read(
    _ path: FilePath, atMost count: Int = .max
  ) throws(TokenizerError) -> [UInt8] {
    do {
      let file = try FileDescriptor.open(path, .readOnly)
      defer { try? file.close() }
      var bytes: [UInt8] = []
      var buffer = [UInt8](repeating: 0, count: 1 << 16)
      // Read to the end instead of trusting a size: pipes and /dev/stdin have none.
      while true {
        let read = try buffer.withUnsafeMutableBytes { try file.read(into: $0) }
        if read == 0 { return bytes }
        bytes += buffer[..<min(read, count - bytes.count)]
        if bytes.count == count { return bytes }
        if bytes.count > byteLimit {
          throw TokenizerError.fileTooLarge(
            path: path.string, byteCount: bytes.count, limit: byteLimit)
        }
      }
    } catch let error as TokenizerError {
      throw error
    } catch let error as Errno {
      throw .unreadable(path: path.string, reason: error.description)
    } catch {
      throw .unreadable(path: path.string, reason: "\(error)")
    }
  }
}
