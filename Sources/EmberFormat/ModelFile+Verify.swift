extension ModelFile {
  /// Checks what opening does not: the checksum of every tensor, that padding is zero, that scales
  /// and weights are finite, and that outliers lie inside their tensor.
  ///
  /// Reads the whole file, in order, with constant memory.
  ///
  /// - Parameter progress: called a few hundred times per gigabyte with the bytes of weights that
  ///   are done, and all of them.
  /// - Throws: `FormatError.damaged`, which names the first tensor that is wrong.
  public func verify(
    progress: (_ bytesDone: Int, _ bytesTotal: Int) -> Void = { _, _ in }
  ) throws(FormatError) {
    let total = tensors.reduce(0) { $0 + $1.byteCount }
    var done = 0
    let chunkBytes = 4 << 20
    var chunk = [UInt8](repeating: 0, count: min(chunkBytes, max(total, 1)))
    for tensor in tensors {
      var checksum = CRC32()
      var offset = 0
      while offset < tensor.byteCount {
        let count = min(chunk.count, tensor.byteCount - offset)
        let result = chunk.withUnsafeMutableBytes { buffer -> Result<Void, FormatError> in
          let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
          return Result { () throws(FormatError) in
            try file.read(into: part, at: tensor.offset + offset)
            checksum.update(UnsafeRawBufferPointer(part))
          }
        }
        try result.get()
        offset += count
        done += count
        progress(done, total)
      }
      guard checksum.value == tensor.checksum else {
        throw .damaged(
          path, place: "tensor '\(tensor.name)': checksum",
          expected: hexadecimal(tensor.checksum), found: hexadecimal(checksum.value))
      }
      // The pages were just read, so the mapping serves them from memory.
      if let flaw = TensorCheck(tensor, bytes(of: tensor)).firstFlaw() {
        throw .damaged(
          path, place: "tensor '\(tensor.name)'", expected: flaw.expected, found: flaw.found)
      }
      // Not needed again: else the whole file would seem to be in this process's memory.
      advise(.dontNeed, tensor.offset..<tensor.offset + tensor.byteCount)
    }
    for gap in gaps {
      // Every gap is smaller than a page, by construction of the file.
      guard try file.bytes(at: gap.lowerBound, count: gap.count).allSatisfy({ $0 == 0 }) else {
        throw .damaged(
          path, place: "padding from byte \(gap.lowerBound) to \(gap.upperBound)",
          expected: "zeros", found: "other values")
      }
    }
  }
}
