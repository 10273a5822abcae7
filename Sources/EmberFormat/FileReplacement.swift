import SystemPackage

/// A whole file written at once: the old one stays until the new one is complete and durable.
package enum FileReplacement {
  /// Whether `write` would begin: the folder takes files, and what is there may be replaced.
  /// For asking before a long computation; leaves nothing behind.
  package static func check(_ path: FilePath) throws(FormatError) {
    _ = try TemporaryFile(replacing: path)
  }

  /// Writes beside the target, syncs, renames.
  package static func write(_ bytes: [UInt8], to path: FilePath) throws(FormatError) {
    var temporary = try TemporaryFile(replacing: path)
    let target = temporary.target
    var result: Result<Void, FormatError> = .success(())
    bytes.withUnsafeBytes { bytes in
      result = Result { () throws(FormatError) in
        try temporary.file.write(bytes, at: 0, for: target)
      }
    }
    try result.get()
    try temporary.commit()
  }
}
