/// The last part of an archive: how long each frame is, compressed and not, with its checksum.
///
/// It is what the "zstd seekable format" (contrib/seekable_format of zstd's sources, version 0.1.0)
/// puts into a skippable frame, which ordinary decompressors pass over.
enum SeekTable {
  static let skippableMagic: UInt32 = 0x184D_2A5E
  static let footerMagic: UInt32 = 0x8F92_EAB1
  static let entryBytes = 12
  /// Number of frames, descriptor, magic.
  static let footerBytes = 9
  /// "Entries have checksums"; the other bits are reserved.
  static let descriptor: UInt8 = 0x80

  /// - Parameter checksum: the low half of the content's XXH64, with which the frame ends.
  static func entry(stored: Int, content: Int, checksum: UInt32) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: entryBytes)
    // Frames hold at most 8 MiB, so both fit.
    bytes.store(littleEndian: UInt32(truncatingIfNeeded: stored), at: 0)
    bytes.store(littleEndian: UInt32(truncatingIfNeeded: content), at: 4)
    bytes.store(littleEndian: checksum, at: 8)
    return bytes
  }

  /// Magic and size of the skippable frame; nil where the table would be too long for one.
  static func start(frames: Int) -> [UInt8]? {
    let (entries, overflows) = frames.multipliedReportingOverflow(by: entryBytes)
    guard !overflows, let size = UInt32(exactly: entries + footerBytes) else { return nil }
    var bytes = [UInt8](repeating: 0, count: 8)
    bytes.store(littleEndian: skippableMagic, at: 0)
    bytes.store(littleEndian: size, at: 4)
    return bytes
  }

  static func footer(frames: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: footerBytes)
    bytes.store(littleEndian: UInt32(truncatingIfNeeded: frames), at: 0)
    bytes[4] = descriptor
    bytes.store(littleEndian: footerMagic, at: 5)
    return bytes
  }
}
