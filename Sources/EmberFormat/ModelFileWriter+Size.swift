extension ModelFileWriter {
  /// Bytes of the file that a writer would make, before any weight is encoded.
  ///
  /// - Parameters:
  ///   - extents: the layouts of each extent's tensors, in order; every extent has at least one.
  ///   - metadataBytes: of the section as stored, by `storedByteCount`.
  ///   - tokenizerBytes: likewise.
  /// - Returns: nil where the size does not fit an `Int`.
  package static func byteCount(
    extents: [[TensorLayout]], metadataBytes: Int, tokenizerBytes: Int
  ) -> Int? {
    var end = FileHeader.weightsOffset
    func append(_ count: Int, alignedTo alignment: Int) -> Bool {
      guard let start = alignedUp(end, to: alignment) else { return false }
      let (sum, overflow) = start.addingReportingOverflow(count)
      end = sum
      return !overflow
    }
    for extent in extents {
      if !append(0, alignedTo: FileHeader.extentAlignment) { return nil }
      for layout in extent
      where !append(layout.byteCount, alignedTo: FileHeader.alignment) { return nil }
    }
    // Records of tensors that are in memory: no overflow.
    let tensors = extents.reduce(0) { $0 + $1.count }
    for count in [
      16 * extents.count, TensorRecord.encodedBytes * tensors, metadataBytes, tokenizerBytes,
    ] where !append(count, alignedTo: FileHeader.alignment) {
      return nil
    }
    return end
  }

  /// Bytes by which padding can differ between files of equally many tensors.
  package static func largestPadding(_ tensorCount: Int) -> Int {
    // A page for each extent, of which there are at most as many as tensors.
    FileHeader.extentAlignment * tensorCount
  }

  /// Bytes that a section's content takes in the file; nil where zstd fails.
  package static func storedByteCount(of content: [UInt8]) -> Int? {
    Zstd.compress(content)?.count
  }
}
