import SystemPackage

/// Appends to a temporary file through a buffer, in pieces of at least 1 MiB where it can.
package struct BufferedOutput: ~Copyable {
  private static let capacity = 1 << 20

  private var temporary: TemporaryFile
  private var buffer: [UInt8] = []
  /// Where the buffer's first byte goes.
  private var flushed: Int

  package init(_ temporary: consuming TemporaryFile, at position: Int) {
    self.temporary = temporary
    flushed = position
    buffer.reserveCapacity(Self.capacity)
  }

  /// The path that will be replaced.
  package var target: FilePath { temporary.target }

  /// Where the next byte goes.
  package var position: Int { flushed + buffer.count }

  package mutating func append(_ bytes: UnsafeRawBufferPointer) throws(FormatError) {
    if bytes.count > Self.capacity - buffer.count { try flush() }
    if bytes.count >= Self.capacity {
      try temporary.file.write(bytes, at: flushed, for: target)
      flushed += bytes.count
    } else {
      buffer.append(contentsOf: bytes)
    }
  }

  package mutating func append(_ bytes: [UInt8]) throws(FormatError) {
    var result: Result<Void, FormatError> = .success(())
    bytes.withUnsafeBytes { bytes in
      do throws(FormatError) { try append(bytes) } catch { result = .failure(error) }
    }
    try result.get()
  }

  /// Zeros up to the next multiple of `alignment`.
  package mutating func pad(to alignment: Int) throws(FormatError) {
    let remainder = position % alignment
    guard remainder != 0 else { return }
    try append([UInt8](repeating: 0, count: alignment - remainder))
  }

  mutating func appendSection(
    _ stored: [UInt8], count: Int, recordSize: Int
  ) throws(FormatError) -> SectionReference {
    try pad(to: FileHeader.alignment)
    let offset = position
    try append(stored)
    return SectionReference(
      offset: offset, stored: stored, count: count, recordSize: recordSize)
  }

  /// Writes the header, last of all, and makes the file the target. Returns its size.
  mutating func commit(header: FileHeader) throws(FormatError) -> Int {
    var header = header
    header.fileBytes = UInt64(position)
    return try commit(headerBytes: header.encoded())
  }

  /// The same for a header of another kind: it replaces the first bytes, which were left free.
  package mutating func commit(headerBytes bytes: [UInt8]) throws(FormatError) -> Int {
    try flush()
    var result: Result<Void, FormatError> = .success(())
    bytes.withUnsafeBytes { bytes in
      result = Result { () throws(FormatError) in
        try temporary.file.write(bytes, at: 0, for: target)
      }
    }
    try result.get()
    try temporary.commit()
    return flushed
  }

  /// Makes what was appended from the file's start on the target. Returns its size.
  package mutating func commit() throws(FormatError) -> Int {
    try flush()
    try temporary.commit()
    return flushed
  }

  private mutating func flush() throws(FormatError) {
    var result: Result<Void, FormatError> = .success(())
    buffer.withUnsafeBytes { bytes in
      result = Result { () throws(FormatError) in
        try temporary.file.write(bytes, at: flushed, for: target)
      }
    }
    try result.get()
    flushed += buffer.count
    buffer.removeAll(keepingCapacity: true)
  }
}
