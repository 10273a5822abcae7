extension ModelFile {
  /// What tells this file from every other: SHA-256 of its header and its tensor directory, in
  /// hexadecimal digits. The header holds the file's size and the checksums of all sections, the
  /// directory those of all tensors.
  ///
  /// - Throws: `FormatError` where the file can no longer be read.
  package func fingerprint() throws(FormatError) -> String {
    let header = try file.bytes(at: 0, count: FileHeader.byteCount)
    // Validated when the file was opened; compared again, in case that it was changed in place.
    let directory = SectionReference(header, at: 96)
    guard let offset = Int(exactly: directory.offset),
      let count = Int(exactly: directory.storedSize),
      count == tensors.count * TensorRecord.encodedBytes, offset <= fileBytes - count
    else {
      throw .damaged(
        path, place: "header", expected: "what it was when the file was opened",
        found: "other values")
    }
    return SHA256.hexadecimal(of: header + (try file.bytes(at: offset, count: count)))
  }
}
