/// Checks a model file's weights and padding while the file is read from front to back, so that one
/// pass serves for more than checking.
///
/// What it checks is what `ModelFile.verify()` does.
struct ModelBytesCheck {
  private let file: ModelFile
  private var tensor = 0
  private var gap = 0
  private var checksum = CRC32()

  init(_ file: ModelFile) { self.file = file }

  /// Takes the next bytes, which begin at `offset`.
  ///
  /// - Throws: `FormatError.damaged`, which names what is wrong first.
  mutating func update(
    _ bytes: UnsafeRawBufferPointer, at offset: Int
  ) throws(FormatError) {
    let range = offset..<offset + bytes.count
    func part(_ part: Range<Int>) -> UnsafeRawBufferPointer {
      UnsafeRawBufferPointer(
        rebasing: bytes[part.lowerBound - offset..<part.upperBound - offset])
    }
    while gap < file.gaps.count, file.gaps[gap].lowerBound < range.upperBound {
      let whole = file.gaps[gap]
      guard part(whole.clamped(to: range)).allSatisfy({ $0 == 0 }) else {
        throw .damaged(
          file.path, place: "padding from byte \(whole.lowerBound) to \(whole.upperBound)",
          expected: "zeros", found: "other values")
      }
      if whole.upperBound > range.upperBound { break }
      gap += 1
    }
    while tensor < file.tensors.count, file.tensors[tensor].offset < range.upperBound {
      let record = file.tensors[tensor]
      let whole = record.offset..<record.offset + record.byteCount
      checksum.update(part(whole.clamped(to: range)))
      if whole.upperBound > range.upperBound { break }
      try finish(record)
      checksum = CRC32()
      tensor += 1
    }
  }

  private func finish(_ record: TensorRecord) throws(FormatError) {
    guard checksum.value == record.checksum else {
      throw .damaged(
        file.path, place: "tensor '\(record.name)': checksum",
        expected: hexadecimal(record.checksum), found: hexadecimal(checksum.value))
    }
    // The pages were just read, so the mapping serves them from memory.
    if let flaw = TensorCheck(record, file.bytes(of: record)).firstFlaw() {
      throw .damaged(
        file.path, place: "tensor '\(record.name)'", expected: flaw.expected, found: flaw.found)
    }
    // Not needed again: else the whole file would seem to be in this process's memory.
    file.advise(.dontNeed, record.offset..<record.offset + record.byteCount)
  }
}
