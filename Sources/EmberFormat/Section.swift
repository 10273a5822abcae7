import SystemPackage

/// A section whose claims about itself were checked against the size of the file.
struct Section {
  let name: String
  let offset: Int
  let storedSize: Int
  /// Records, or bytes after decompression.
  let count: Int
  let checksum: UInt32

  init(
    _ name: String, _ reference: SectionReference, recordSize: Int, maximumCount: Int,
    fileBytes: Int, path: FilePath
  ) throws(FormatError) {
    guard let offset = Int(exactly: reference.offset),
      let storedSize = Int(exactly: reference.storedSize),
      offset >= FileHeader.weightsOffset, offset % FileHeader.alignment == 0,
      offset <= fileBytes, storedSize <= fileBytes - offset
    else {
      throw .damaged(
        path, place: "\(name): place",
        expected: "a multiple of \(FileHeader.alignment) from \(FileHeader.weightsOffset) on,"
          + " inside the \(fileBytes) bytes of the file",
        found: "offset \(reference.offset), size \(reference.storedSize)")
    }
    guard reference.recordSize == UInt32(recordSize) else {
      throw .damaged(
        path, place: "\(name): record size", expected: "\(recordSize)",
        found: "\(reference.recordSize)")
    }
    guard let count = Int(exactly: reference.count), count <= maximumCount else {
      throw .damaged(
        path, place: "\(name): \(recordSize == 0 ? "raw size" : "count")",
        expected: "at most \(maximumCount)", found: "\(reference.count)")
    }
    if recordSize > 0 {
      // No overflow: at most 2^20 records of at most 192 bytes.
      guard storedSize == count * recordSize else {
        throw .damaged(
          path, place: "\(name): size", expected: "\(count * recordSize) for \(count) records",
          found: "\(storedSize)")
      }
    } else {
      // Both bounds guard memory: the first against a sparse file, the second against a bomb.
      guard storedSize <= maximumCount else {
        throw .damaged(
          path, place: "\(name): size", expected: "at most \(maximumCount)",
          found: "\(storedSize)")
      }
      let maximum = FileHeader.maximumRawSize(storedSize: storedSize)
      guard count <= maximum else {
        throw .damaged(
          path, place: "\(name): raw size",
          expected: "at most \(maximum) from \(storedSize) stored bytes", found: "\(count)")
      }
    }
    self.name = name
    self.offset = offset
    self.storedSize = storedSize
    self.count = count
    checksum = reference.checksum
  }

  /// Sections follow one another on the next multiple of 64.
  func requireAfter(_ other: Section, path: FilePath) throws(FormatError) {
    // No overflow in the sum: both lie inside the file.
    let expected = alignedUp(other.offset + other.storedSize, to: FileHeader.alignment)
    guard offset == expected else {
      throw .damaged(
        path, place: "\(name): offset",
        expected: expected.map { "\($0), after the \(other.name)" } ?? "one inside the file",
        found: "\(offset)")
    }
  }

  /// The stored bytes, their checksum verified.
  func read(from file: borrowing OpenFile) throws(FormatError) -> [UInt8] {
    let bytes = try file.bytes(at: offset, count: storedSize)
    let found = CRC32.checksum(bytes)
    guard found == checksum else {
      throw .damaged(
        file.path, place: "\(name) checksum", expected: hexadecimal(checksum),
        found: hexadecimal(found))
    }
    return bytes
  }

  func decompressed(from file: borrowing OpenFile) throws(FormatError) -> [UInt8] {
    switch Zstd.decompress(try read(from: file), byteCount: count) {
    case .success(let bytes): return bytes
    case .failure(let failure):
      throw .damaged(
        file.path, place: name, expected: "one zstd frame of \(count) bytes",
        found: failure.found)
    }
  }
}
