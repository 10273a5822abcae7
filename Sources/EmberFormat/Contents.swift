import SystemPackage

/// Everything of a model file but the weights, read and validated.
///
/// The rules leave exactly one place for every byte: extents follow one another on the next page,
/// tensors on the next 64 bytes, sections likewise, and the last section ends the file. So one
/// pass in file order excludes overlaps, gaps and ranges outside the file, in linear time.
struct Contents {
  let fileBytes: Int
  let extents: [Extent]
  let tensors: [TensorRecord]
  /// Name to index in `tensors`.
  let indices: [String: Int]
  let metadata: [UInt8]
  let tokenizer: [UInt8]
  /// Gaps between header, tensors and sections, which must hold zeros.
  let gaps: [Range<Int>]

  init(reading file: borrowing OpenFile) throws(FormatError) {
    let path = file.path
    fileBytes = try file.status().byteCount
    let header = try FileHeader(reading: file, fileBytes: fileBytes)

    let sections = try Self.sections(of: header, fileBytes: fileBytes, path: path)
    extents = try Self.extents(
      in: try sections.extents.read(from: file), endingAt: sections.extents.offset, path: path)
    (tensors, indices) = try Self.tensors(
      in: try sections.directory.read(from: file), extents: extents, path: path)
    metadata = try sections.metadata.decompressed(from: file)
    tokenizer = try sections.tokenizer.decompressed(from: file)

    // Tensors and sections stand in file order, so whatever lies between two of them is a gap.
    var gaps: [Range<Int>] = []
    var end = FileHeader.byteCount
    for tensor in tensors {
      if end < tensor.offset { gaps.append(end..<tensor.offset) }
      end = tensor.offset + tensor.byteCount
    }
    for section in [sections.extents, sections.directory, sections.metadata, sections.tokenizer] {
      if end < section.offset { gaps.append(end..<section.offset) }
      end = section.offset + section.storedSize
    }
    self.gaps = gaps
  }

  private static func sections(
    of header: FileHeader, fileBytes: Int, path: FilePath
  ) throws(FormatError) -> (
    extents: Section, directory: Section, metadata: Section, tokenizer: Section
  ) {
    let extents = try Section(
      "extent table", header.extents, recordSize: 16, maximumCount: FileHeader.maximumTensors,
      fileBytes: fileBytes, path: path)
    let directory = try Section(
      "tensor directory", header.directory, recordSize: TensorRecord.encodedBytes,
      maximumCount: FileHeader.maximumTensors, fileBytes: fileBytes, path: path)
    let metadata = try Section(
      "metadata", header.metadata, recordSize: 0,
      maximumCount: FileHeader.maximumMetadataBytes, fileBytes: fileBytes, path: path)
    let tokenizer = try Section(
      "tokenizer", header.tokenizer, recordSize: 0,
      maximumCount: FileHeader.maximumTokenizerBytes, fileBytes: fileBytes, path: path)
    try directory.requireAfter(extents, path: path)
    try metadata.requireAfter(directory, path: path)
    try tokenizer.requireAfter(metadata, path: path)
    guard tokenizer.offset + tokenizer.storedSize == fileBytes else {
      throw .damaged(
        path, place: "end of the tokenizer", expected: "\(fileBytes), the end of the file",
        found: "\(tokenizer.offset + tokenizer.storedSize)")
    }
    return (extents, directory, metadata, tokenizer)
  }

  private static func extents(
    in bytes: [UInt8], endingAt tableOffset: Int, path: FilePath
  ) throws(FormatError) -> [Extent] {
    var extents: [Extent] = []
    extents.reserveCapacity(bytes.count / 16)
    var end = FileHeader.weightsOffset
    for index in 0..<(bytes.count / 16) {
      let offset = bytes.littleEndian(UInt64.self, at: 16 * index)
      let byteCount = bytes.littleEndian(UInt64.self, at: 16 * index + 8)
      // No overflow: `end` is at most the table's offset, which lies inside the file.
      guard let expected = alignedUp(end, to: FileHeader.extentAlignment),
        offset == UInt64(expected)
      else {
        throw .damaged(
          path, place: "offset of extent \(index)",
          expected: "the first multiple of \(FileHeader.extentAlignment) from \(end) on",
          found: "\(offset)")
      }
      guard expected < tableOffset, byteCount >= 1, byteCount <= UInt64(tableOffset - expected)
      else {
        throw .damaged(
          path, place: "size of extent \(index)",
          expected: "1 to \(max(tableOffset - expected, 0)) bytes", found: "\(byteCount)")
      }
      extents.append(Extent(offset: expected, byteCount: Int(byteCount)))
      end = expected + Int(byteCount)
    }
    guard alignedUp(end, to: FileHeader.alignment) == tableOffset else {
      throw .damaged(
        path, place: "offset of the extent table",
        expected: "the first multiple of \(FileHeader.alignment) from \(end) on,"
          + " the end of the weights", found: "\(tableOffset)")
    }
    return extents
  }

  private static func tensors(
    in bytes: [UInt8], extents: [Extent], path: FilePath
  ) throws(FormatError) -> ([TensorRecord], [String: Int]) {
    let count = bytes.count / TensorRecord.encodedBytes
    var tensors: [TensorRecord] = []
    var indices: [String: Int] = [:]
    tensors.reserveCapacity(count)
    indices.reserveCapacity(count)
    var extent = -1
    var end = 0  // of the tensor before, while inside an extent
    for index in 0..<count {
      let record = try TensorRecord(bytes, index: index, path: path)
      let place = "tensor '\(record.name)'"
      guard indices.updateValue(index, forKey: record.name) == nil else {
        throw .damaged(
          path, place: place, expected: "a name used once", found: "another tensor of that name")
      }
      var expected = alignedUp(end, to: FileHeader.alignment)
      if record.extent != extent {
        try requireEnd(of: extent, at: end, extents, path)
        guard record.extent == extent + 1, record.extent < extents.count else {
          throw .damaged(
            path, place: "\(place): extent",
            expected: "\(max(extent, 0)) or the next of \(extents.count)",
            found: "\(record.extent)")
        }
        extent = record.extent
        expected = extents[extent].offset
      }
      guard record.offset == expected else {
        throw .damaged(
          path, place: "\(place): offset",
          expected: expected.map { "\($0)" } ?? "an offset inside the file",
          found: "\(record.offset)")
      }
      // No overflow in the sum: the offset lies inside the extent, the room is what remains of it.
      let room = extents[extent].offset + extents[extent].byteCount - record.offset
      guard record.byteCount <= room else {
        throw .damaged(
          path, place: "\(place): byte count",
          expected: "at most \(max(room, 0)), the rest of extent \(extent)",
          found: "\(record.byteCount)")
      }
      end = record.offset + record.byteCount
      tensors.append(record)
    }
    try requireEnd(of: extent, at: end, extents, path)
    guard extent == extents.count - 1 else {
      throw .damaged(
        path, place: "tensor directory", expected: "tensors in all \(extents.count) extents",
        found: "none in extent \(extent + 1)")
    }
    return (tensors, indices)
  }

  private static func requireEnd(
    of extent: Int, at end: Int, _ extents: [Extent], _ path: FilePath
  ) throws(FormatError) {
    guard extent >= 0 else { return }
    let expected = extents[extent].offset + extents[extent].byteCount
    guard end == expected else {
      throw .damaged(
        path, place: "end of extent \(extent)", expected: "\(end), the end of its last tensor",
        found: "\(expected)")
    }
  }
}
