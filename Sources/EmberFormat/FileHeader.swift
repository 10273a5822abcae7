import SystemPackage

/// The fixed header at the start of the file, written last. Offsets: `formats/model-file.md`.
struct FileHeader: Equatable {
  /// Like PNG's: a lost high bit, a converted line end and a `type` on the terminal all show.
  static let magic: [UInt8] = [0x89, 0x45, 0x4D, 0x42, 0x52, 0x0D, 0x0A, 0x1A]
  static let supportedVersion: UInt32 = 1
  static let byteCount = 256
  /// Where the first extent starts: one page after the header, wherever pages are 4 KiB.
  static let weightsOffset = 4096
  static let extentAlignment = 4096
  static let alignment = 64

  /// Caps that keep a small or sparse hostile file from claiming much memory.
  static let maximumTensors = 1 << 20
  static let maximumMetadataBytes = 64 << 20
  static let maximumTokenizerBytes = 256 << 20

  var fileBytes: UInt64
  var requiredFeatures: UInt64 = 0
  var partIndex: UInt32 = 0
  var partCount: UInt32 = 1
  var extents: SectionReference
  var directory: SectionReference
  var metadata: SectionReference
  var tokenizer: SectionReference

  /// Raw size that a section of `storedSize` bytes may have: text compresses by 3 to 30, a bomb by
  /// 30,000.
  static func maximumRawSize(storedSize: Int) -> Int { 65_536 + 256 * storedSize }

  func encoded() -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: Self.byteCount)
    bytes.replaceSubrange(0..<8, with: Self.magic)
    bytes.store(littleEndian: Self.supportedVersion, at: 8)
    bytes.store(littleEndian: UInt32(Self.byteCount), at: 12)
    bytes.store(littleEndian: fileBytes, at: 16)
    bytes.store(littleEndian: requiredFeatures, at: 24)
    bytes.store(littleEndian: partIndex, at: 32)
    bytes.store(littleEndian: partCount, at: 36)
    extents.store(in: &bytes, at: 64)
    directory.store(in: &bytes, at: 96)
    metadata.store(in: &bytes, at: 128)
    tokenizer.store(in: &bytes, at: 160)
    bytes.store(littleEndian: CRC32.checksum(Array(bytes[0..<252])), at: 252)
    return bytes
  }

  /// Reads the header from a file of `fileBytes` bytes and checks it against itself and that size.
  init(reading file: borrowing OpenFile, fileBytes: Int) throws(FormatError) {
    let path = file.path
    guard fileBytes > 0 else {
      throw .damaged(path, place: "whole file", expected: "a model", found: "an empty file")
    }
    let bytes = try file.bytes(at: 0, count: min(Self.byteCount, fileBytes))
    guard bytes.prefix(8).elementsEqual(Self.magic.prefix(bytes.count)) else {
      throw .notModelFile(path, found: ForeignFormat.describe(bytes, fileBytes: fileBytes))
    }
    // The version first, because everything after it may differ in another version.
    if bytes.count >= 12 {
      let version = bytes.littleEndian(UInt32.self, at: 8)
      guard version == Self.supportedVersion else {
        throw .unsupportedVersion(path, found: version)
      }
    }
    guard bytes.count == Self.byteCount else {
      throw .truncated(path, expected: Self.byteCount, found: fileBytes)
    }
    let checksum = CRC32.checksum(Array(bytes[0..<252]))
    let stored = bytes.littleEndian(UInt32.self, at: 252)
    guard checksum == stored else {
      throw .damaged(
        path, place: "header checksum", expected: hexadecimal(stored),
        found: hexadecimal(checksum))
    }
    self.fileBytes = bytes.littleEndian(UInt64.self, at: 16)
    requiredFeatures = bytes.littleEndian(UInt64.self, at: 24)
    partIndex = bytes.littleEndian(UInt32.self, at: 32)
    partCount = bytes.littleEndian(UInt32.self, at: 36)
    extents = SectionReference(bytes, at: 64)
    directory = SectionReference(bytes, at: 96)
    metadata = SectionReference(bytes, at: 128)
    tokenizer = SectionReference(bytes, at: 160)

    guard requiredFeatures == 0 else {
      throw .unsupportedFeatures(path, bits: requiredFeatures)
    }
    guard partIndex == 0, partCount == 1 else {
      throw .unsupportedParts(path, index: partIndex, count: partCount)
    }
    let headerBytes = bytes.littleEndian(UInt32.self, at: 12)
    guard headerBytes == UInt32(Self.byteCount) else {
      throw .damaged(
        path, place: "header size", expected: "\(Self.byteCount)", found: "\(headerBytes)")
    }
    guard (bytes[40..<64] + bytes[192..<252]).allSatisfy({ $0 == 0 }) else {
      throw .damaged(
        path, place: "reserved bytes of the header", expected: "0", found: "other values")
    }
    guard let claimed = Int(exactly: self.fileBytes) else {
      throw .damaged(
        path, place: "file size in the header", expected: "\(fileBytes)",
        found: "\(self.fileBytes)")
    }
    guard fileBytes >= claimed else {
      throw .truncated(path, expected: claimed, found: fileBytes)
    }
    guard fileBytes == claimed else {
      throw .damaged(
        path, place: "file size", expected: "\(claimed) bytes, as the header says",
        found: "\(fileBytes)")
    }
  }

  init(
    fileBytes: UInt64, extents: SectionReference, directory: SectionReference,
    metadata: SectionReference, tokenizer: SectionReference
  ) {
    self.fileBytes = fileBytes
    self.extents = extents
    self.directory = directory
    self.metadata = metadata
    self.tokenizer = tokenizer
  }
}

/// Where a section lies: 32 bytes of the header.
struct SectionReference: Equatable {
  var offset: UInt64
  /// Bytes in the file.
  var storedSize: UInt64
  /// Records of a table, or bytes after decompression.
  var count: UInt64
  /// Bytes of one record of a table, 0 for a compressed section.
  var recordSize: UInt32
  /// CRC-32 of the bytes in the file.
  var checksum: UInt32

  init(offset: Int, stored: [UInt8], count: Int, recordSize: Int) {
    self.offset = UInt64(offset)
    storedSize = UInt64(stored.count)
    self.count = UInt64(count)
    self.recordSize = UInt32(recordSize)
    checksum = CRC32.checksum(stored)
  }

  init(_ bytes: [UInt8], at offset: Int) {
    self.offset = bytes.littleEndian(UInt64.self, at: offset)
    storedSize = bytes.littleEndian(UInt64.self, at: offset + 8)
    count = bytes.littleEndian(UInt64.self, at: offset + 16)
    recordSize = bytes.littleEndian(UInt32.self, at: offset + 24)
    checksum = bytes.littleEndian(UInt32.self, at: offset + 28)
  }

  func store(in bytes: inout [UInt8], at start: Int) {
    bytes.store(littleEndian: offset, at: start)
    bytes.store(littleEndian: storedSize, at: start + 8)
    bytes.store(littleEndian: count, at: start + 16)
    bytes.store(littleEndian: recordSize, at: start + 24)
    bytes.store(littleEndian: checksum, at: start + 28)
  }
}
