public import SystemPackage

/// Writes a model file, front to back, with constant memory; the target appears whole or not at
/// all.
///
/// ```swift
/// var writer = try ModelFileWriter(creating: "model.q4")
/// try writer.beginExtent()
/// try writer.beginTensor(named: "embedding", layout: layout)
/// try writer.write(bytes)  // as often as needed
/// try writer.endTensor(outlierCount: 0, relativeError: 0.01)
/// let fileBytes = try writer.finish(metadata: json, tokenizer: tokenizer)
/// ```
///
/// The bytes go to a temporary file beside the target, which `finish` syncs and renames. A writer
/// that is dropped removes it; the one of a process that was killed is removed by the next writer
/// for the same target. Equal calls give equal bytes: there is no time stamp, and zstd's level is
/// fixed. After an error, `finish` does nothing but throw it again.
public struct ModelFileWriter: ~Copyable {
  private var output: BufferedOutput
  private var extents: [Extent] = []
  private var tensors: [TensorRecord] = []
  private var names: Set<String> = []
  private var openTensor: OpenTensor?
  /// Tensors before this index belong to earlier extents.
  private var firstTensorOfExtent = 0
  private var hasExtent = false
  private var failure: FormatError?

  private struct OpenTensor {
    let name: String
    let layout: TensorLayout
    let offset: Int
    var written = 0
    var checksum = CRC32()
  }

  /// Creates the temporary file, after removing those that dead runs for this target left.
  ///
  /// - Throws: `FormatError` where the target is a folder, a device or write-protected, or its
  ///   folder takes no files.
  public init(creating path: FilePath) throws(FormatError) {
    output = BufferedOutput(try TemporaryFile(replacing: path), at: FileHeader.weightsOffset)
  }

  /// Starts the next extent: the tensors that follow lie in one page-aligned run.
  public mutating func beginExtent() throws(FormatError) {
    try closeExtent()
    try step { output throws(FormatError) in
      try output.pad(to: FileHeader.extentAlignment)
    }
    hasExtent = true
    firstTensorOfExtent = tensors.count
  }

  /// Starts a tensor. `name` must be new, 1 to 96 characters of `[A-Za-z0-9._-]`.
  public mutating func beginTensor(
    named name: String, layout: TensorLayout
  ) throws(FormatError) {
    if let failure { throw failure }
    if let openTensor { throw fail("tensor '\(openTensor.name)' has not ended") }
    guard hasExtent else { throw fail("a tensor before the first extent") }
    guard TensorRecord.isValidName(name.utf8) else {
      throw fail("tensor name \(name.debugDescription), expected 1 to 96 of A-Z a-z 0-9 . _ -")
    }
    guard names.insert(name).inserted else { throw fail("two tensors named '\(name)'") }
    guard tensors.count < FileHeader.maximumTensors else {
      throw fail("over \(FileHeader.maximumTensors) tensors")
    }
    try step { output throws(FormatError) in try output.pad(to: FileHeader.alignment) }
    openTensor = OpenTensor(name: name, layout: layout, offset: output.position)
  }

  /// Appends bytes of the open tensor, in any portions.
  public mutating func write(_ bytes: UnsafeRawBufferPointer) throws(FormatError) {
    if let failure { throw failure }
    guard var tensor = openTensor else { throw fail("bytes outside a tensor") }
    guard bytes.count <= tensor.layout.byteCount - tensor.written else {
      throw fail(
        "tensor '\(tensor.name)': over the \(tensor.layout.byteCount) bytes of its layout")
    }
    tensor.checksum.update(bytes)
    tensor.written += bytes.count
    openTensor = tensor
    try step { output throws(FormatError) in try output.append(bytes) }
  }

  /// Appends bytes of the open tensor, in any portions.
  public mutating func write(_ bytes: [UInt8]) throws(FormatError) {
    // Through a Result, because withUnsafeBytes forgets the type of the error.
    var result: Result<Void, FormatError> = .success(())
    bytes.withUnsafeBytes { buffer in
      do throws(FormatError) { try write(buffer) } catch { result = .failure(error) }
    }
    try result.get()
  }

  /// Ends the open tensor.
  ///
  /// - Parameters:
  ///   - outlierCount: outlier lanes in use.
  ///   - relativeError: root of the mean squared error over root of the mean square.
  public mutating func endTensor(
    outlierCount: Int, relativeError: Float
  ) throws(FormatError) {
    if let failure { throw failure }
    guard let tensor = openTensor else { throw fail("no tensor to end") }
    guard tensor.written == tensor.layout.byteCount else {
      throw fail(
        "tensor '\(tensor.name)': \(tensor.written) of the \(tensor.layout.byteCount) bytes"
          + " of its layout")
    }
    if let complaint = TensorRecord.complaint(
      layout: tensor.layout, outlierCount: outlierCount, relativeError: relativeError)
    {
      throw fail(
        "tensor '\(tensor.name)': expected \(complaint.expected), found \(complaint.found)")
    }
    tensors.append(
      TensorRecord(
        name: tensor.name, layout: tensor.layout, outlierCount: outlierCount,
        relativeError: relativeError, offset: tensor.offset, checksum: tensor.checksum.value,
        extent: extents.count))
    openTensor = nil
  }

  /// Writes the sections and the header, syncs, and renames the file into place.
  ///
  /// - Parameters:
  ///   - metadata: JSON in UTF-8, at most 64 MiB.
  ///   - tokenizer: opaque bytes, at most 256 MiB.
  /// - Returns: the size of the file in bytes.
  public consuming func finish(
    metadata: [UInt8], tokenizer: [UInt8]
  ) throws(FormatError) -> Int {
    try closeExtent()
    var extentTable = [UInt8](repeating: 0, count: 16 * extents.count)
    for (index, extent) in extents.enumerated() {
      extentTable.store(littleEndian: UInt64(extent.offset), at: 16 * index)
      extentTable.store(littleEndian: UInt64(extent.byteCount), at: 16 * index + 8)
    }
    var directory = [UInt8](
      repeating: 0, count: TensorRecord.encodedBytes * tensors.count)
    for (index, tensor) in tensors.enumerated() {
      tensor.encode(into: &directory, at: TensorRecord.encodedBytes * index)
    }
    let storedMetadata = try compressed(
      metadata, "metadata", maximum: FileHeader.maximumMetadataBytes)
    let storedTokenizer = try compressed(
      tokenizer, "tokenizer", maximum: FileHeader.maximumTokenizerBytes)

    let header = FileHeader(
      fileBytes: 0,  // known when everything is written
      extents: try output.appendSection(extentTable, count: extents.count, recordSize: 16),
      directory: try output.appendSection(
        directory, count: tensors.count, recordSize: TensorRecord.encodedBytes),
      metadata: try output.appendSection(storedMetadata, count: metadata.count, recordSize: 0),
      tokenizer: try output.appendSection(
        storedTokenizer, count: tokenizer.count, recordSize: 0))
    return try output.commit(header: header)
  }

  private mutating func closeExtent() throws(FormatError) {
    if let failure { throw failure }
    if let openTensor { throw fail("tensor '\(openTensor.name)' has not ended") }
    guard hasExtent else { return }
    guard tensors.count > firstTensorOfExtent, let last = tensors.last else {
      throw fail("an extent without a tensor")
    }
    let offset = tensors[firstTensorOfExtent].offset
    extents.append(Extent(offset: offset, byteCount: last.offset + last.byteCount - offset))
    hasExtent = false
  }

  private func compressed(
    _ bytes: [UInt8], _ name: String, maximum: Int
  ) throws(FormatError) -> [UInt8] {
    guard bytes.count <= maximum else {
      throw .invalidContent(
        output.target, "\(bytes.count) bytes of \(name), expected at most \(maximum)")
    }
    guard let frame = Zstd.compress(bytes) else {
      throw .invalidContent(output.target, "zstd cannot compress the \(name)")
    }
    guard frame.count <= maximum,
      bytes.count <= FileHeader.maximumRawSize(storedSize: frame.count)
    else {
      throw .invalidContent(
        output.target,
        "\(bytes.count) bytes of \(name) compress to \(frame.count), which readers take for an"
          + " attack")
    }
    return frame
  }

  /// Remembers the error of a step, so that a file with a hole can never be finished.
  private mutating func step(
    _ body: (inout BufferedOutput) throws(FormatError) -> Void
  ) throws(FormatError) {
    do {
      try body(&output)
    } catch {
      failure = error
      throw error
    }
  }

  /// The error of a call that the format does not allow; remembered likewise.
  private mutating func fail(_ complaint: String) -> FormatError {
    let error = FormatError.invalidContent(output.target, complaint)
    failure = error
    return error
  }
}
