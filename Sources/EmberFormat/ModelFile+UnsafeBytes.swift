extension ModelFile {
  /// The bytes of one of this file's tensors, in the mapping; valid while the ModelFile lives.
  ///
  /// The record must come from this file: records of a file were validated against its size.
  package func bytes(of record: TensorRecord) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(
      rebasing: mapping.bytes[record.offset..<(record.offset + record.byteCount)])
  }

  /// The bytes of one of this file's extents, likewise.
  package func bytes(of extent: Extent) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(
      rebasing: mapping.bytes[extent.offset..<(extent.offset + extent.byteCount)])
  }

  /// Tells the kernel what will happen to a range of bytes of the file. Only ever a hint.
  package func advise(_ advice: PageAdvice, _ range: Range<Int>) {
    mapping.advise(advice, range)
  }

  /// Asks the kernel to read a range of bytes of the file ahead.
  package func advise(willNeed range: Range<Int>) {
    mapping.advise(.willNeed, range)
  }

  /// Copies bytes of the file from `offset` on, past the mapping: an input/output error is thrown
  /// here, where touching a mapped page would end the process.
  package func read(
    into buffer: UnsafeMutableRawBufferPointer, at offset: Int
  ) throws(FormatError) {
    try file.read(into: buffer, at: offset)
  }
}
