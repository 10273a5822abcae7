import SystemPackage

/// The frames of an archive one after another, each whole, without looking at the table behind them:
/// a stream has its end last.
struct FrameReader: ~Copyable {
  var source: ByteSource
  /// Content of all frames but the last, known from the first.
  private var frameBytes: Int?
  /// Whether a frame came that must be the last.
  private var isComplete = false
  private(set) var frames = 0
  private(set) var contentBytes = 0
  /// Of the entries that the table must have.
  private var entries = CRC32()

  init(_ source: consuming ByteSource) { self.source = source }

  var path: FilePath { source.path }

  /// Reads the next frame, or the table and the end of the stream.
  ///
  /// - Parameter frame: takes the bytes of the frame.
  /// - Returns: bytes of its content; nil where the archive has ended as it should.
  mutating func next(_ frame: inout [UInt8]) throws(FormatError) -> Int? {
    frame.removeAll(keepingCapacity: true)
    let start = source.position
    try read(4, &frame)
    let magic = frame.littleEndian(UInt32.self, at: 0)
    if magic == SeekTable.skippableMagic, frames > 0 {
      try readTable()
      return nil
    }
    guard magic == ZstdFrameHeader.magic else {
      throw damaged(
        "byte \(start)", expected: "the next frame or the table of frames",
        found: "the first bytes \(hexadecimal(magic))")
    }
    try read(1, &frame)
    try read(
      ZstdFrameHeader.byteCount(descriptor: frame[4]) - ZstdFrameHeader.startBytes, &frame)
    let content = try checkedContent(frame.withUnsafeBytes { ZstdFrameHeader($0) })
    try readBlocks(content, &frame)
    try read(4, &frame)  // the checksum
    frames += 1
    // No overflow: at most 256 times what was read.
    contentBytes += content
    guard contentBytes <= PackedFile.maximumContent(storedBytes: source.position) else {
      throw damaged(
        "frame \(frames - 1)",
        expected: "at most \(PackedFile.maximumContent(storedBytes: source.position)) bytes from"
          + " \(source.position) stored ones",
        found: "\(contentBytes)")
    }
    let entry = SeekTable.entry(
      stored: frame.count, content: content, checksum: FrameTeam.Slot.checksum(ofFrame: frame))
    entry.withUnsafeBytes { entries.update($0) }
    return content
  }

  /// Bytes of the frame's content, after what the page of the format demands of its header.
  private mutating func checkedContent(
    _ header: ZstdFrameHeader?
  ) throws(FormatError) -> Int {
    let place = "frame \(frames)"
    guard let header else {
      throw damaged(
        place, expected: "a frame without a dictionary", found: "one that needs a dictionary")
    }
    guard header.hasChecksum, let declared = header.contentBytes else {
      throw damaged(
        place,
        expected: "a frame that declares its size and has a checksum, as `ember pack` writes",
        found: "one without")
    }
    guard let content = Int(exactly: declared), content >= 1,
      content <= frameBytes ?? PackedFile.frameByteRange.upperBound
    else {
      throw damaged(
        place,
        expected: "1 to \(frameBytes ?? PackedFile.frameByteRange.upperBound) bytes of content",
        found: "\(declared)")
    }
    guard !isComplete else {
      throw damaged(
        place, expected: "the table of frames behind a frame that is shorter than the first",
        found: "another frame")
    }
    if let frameBytes {
      isComplete = content < frameBytes
    } else {
      frameBytes = content
      isComplete = content < PackedFile.frameByteRange.lowerBound
    }
    return content
  }

  /// The blocks of a frame, of which each says how long it is and the last that it is.
  private mutating func readBlocks(
    _ content: Int, _ frame: inout [UInt8]
  ) throws(FormatError) {
    let limit = FrameDecompressor.largestFrame(contentBytes: content) + 64
    while true {
      try read(3, &frame)
      let end = frame.count
      let header = Int(frame[end - 3]) | Int(frame[end - 2]) << 8 | Int(frame[end - 1]) << 16
      // A run of one byte stores that byte alone.
      let bytes = header >> 1 & 3 == 1 ? 1 : header >> 3
      guard bytes <= ZstdFrameHeader.maximumBlockBytes, frame.count + bytes <= limit else {
        throw damaged(
          "frame \(frames)", expected: "at most \(limit) bytes for \(content) of content",
          found: "more")
      }
      try read(bytes, &frame)
      if header & 1 == 1 { return }
    }
  }

  private mutating func readTable() throws(FormatError) {
    let place = "table of frames"
    var bytes: [UInt8] = []
    try read(4, &bytes)
    // No overflow: there are fewer frames than bytes were read.
    let expected = SeekTable.entryBytes * frames + SeekTable.footerBytes
    let size = bytes.littleEndian(UInt32.self, at: 0)
    guard Int(size) == expected else {
      throw damaged(place, expected: "\(expected) bytes for \(frames) frames", found: "\(size)")
    }
    var found = CRC32()
    for first in stride(from: 0, to: frames, by: 4096) {
      bytes.removeAll(keepingCapacity: true)
      try read(SeekTable.entryBytes * min(4096, frames - first), &bytes)
      bytes.withUnsafeBytes { found.update($0) }
    }
    guard found.value == entries.value else {
      throw damaged(
        place, expected: "the sizes and checksums of the frames", found: "other entries")
    }
    bytes.removeAll(keepingCapacity: true)
    try read(SeekTable.footerBytes, &bytes)
    guard bytes == SeekTable.footer(frames: frames) else {
      throw damaged(place, expected: "an end for \(frames) frames", found: "another")
    }
    guard try source.read(1).isEmpty else {
      throw damaged(
        "byte \(source.position - 1)", expected: "the end of the archive", found: "more bytes")
    }
  }

  private mutating func read(_ count: Int, _ bytes: inout [UInt8]) throws(FormatError) {
    let before = bytes.count
    let start = source.position
    try source.read(count, appendingTo: &bytes)
    guard bytes.count == before + count else {
      throw .truncated(path, expected: start + count, found: source.position)
    }
  }

  private func damaged(_ place: String, expected: String, found: String) -> FormatError {
    .damaged(path, place: place, expected: expected, found: found)
  }
}
