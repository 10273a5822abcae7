public import SystemPackage

/// Packs a model file into a seekable zstd archive, for shipping.
///
/// ```swift
/// let summary = try ModelPacker().pack("model.q4", to: .file("model.q4.zst"))
/// print(summary.packedBytes)
/// ```
///
/// The archive is of the "zstd seekable format": frames of 2 MiB, each with a checksum, and a table
/// of them that decompressors pass over, so `zstd -d` unpacks it too. `formats/packed.md` specifies
/// it. The model is checked while it is read, as `ModelFile.verify()` does: what was packed can be
/// unpacked. Memory does not grow with the model: two frames per thread, and what zstd needs.
public struct ModelPacker: Sendable {
  /// The levels of zstd that it takes.
  public static let levels = 1...19
  /// Weights hardly compress, so higher levels take time for nothing; `docs/packing.md` has a table.
  public static let defaultLevel = 1

  public var level: Int
  public var threads: Int

  public init(level: Int = Self.defaultLevel, threads: Int = 1) {
    self.level = level
    self.threads = threads
  }

  /// - Parameter progress: called after every few frames with the bytes that are done, of all; what
  ///   it throws ends the work, and no file is left.
  /// - Throws: `FormatError`, and what `progress` throws.
  public func pack(
    _ path: FilePath, to place: StreamPlace,
    progress: (_ bytesDone: Int, _ bytesTotal: Int) throws -> Void = { _, _ in }
  ) throws -> PackingSummary {
    let model = try ModelFile(opening: path)
    guard Self.levels.contains(level),
      let team = FrameTeam.compressing(level: level, threads: threads)
    else {
      throw FormatError.invalidContent(
        path, "zstd cannot compress at level \(level) on \(threads) threads")
    }
    var check = ModelBytesCheck(model)
    var sink = try ByteSink(place)
    var table: [UInt8] = []
    var done = 0
    while done < model.fileBytes {
      var count = 0
      while count < team.slots.count, done < model.fileBytes {
        try read(model, at: done, into: team.slots[count], &check)
        done += team.slots[count].input.count
        count += 1
      }
      team.run(count)
      for slot in team.slots[..<count] {
        if let failure = slot.failure { throw FormatError.invalidContent(path, failure) }
        try append(slot, to: &sink, &table, path)
      }
      try progress(done, model.fileBytes)
    }
    let frames = table.count / SeekTable.entryBytes
    guard let start = SeekTable.start(frames: frames) else {
      throw FormatError.invalidContent(path, "\(frames) frames, more than an archive can have")
    }
    try sink.append(start)
    try sink.append(table)
    try sink.append(SeekTable.footer(frames: frames))
    try sink.commit()
    return PackingSummary(
      modelBytes: model.fileBytes, packedBytes: sink.position, frames: frames)
  }

  /// The next frame's content.
  private func read(
    _ model: ModelFile, at offset: Int, into slot: FrameTeam.Slot,
    _ check: inout ModelBytesCheck
  ) throws(FormatError) {
    let count = min(PackedFile.frameBytes, model.fileBytes - offset)
    if slot.input.count != count { slot.input = [UInt8](repeating: 0, count: count) }
    // Through a Result, because withUnsafeMutableBytes forgets the type of the error.
    var result: Result<Void, FormatError> = .success(())
    slot.input.withUnsafeMutableBytes { buffer in
      do throws(FormatError) {
        try model.read(into: buffer, at: offset)
        try check.update(UnsafeRawBufferPointer(buffer), at: offset)
      } catch {
        result = .failure(error)
      }
    }
    try result.get()
  }

  private func append(
    _ slot: FrameTeam.Slot, to sink: inout ByteSink, _ table: inout [UInt8], _ path: FilePath
  ) throws(FormatError) {
    try sink.append(slot.output)
    let content = table.count / SeekTable.entryBytes * PackedFile.frameBytes + slot.input.count
    guard content <= PackedFile.maximumContent(storedBytes: sink.position) else {
      throw .invalidContent(
        path,
        "\(content) bytes of it compress to \(sink.position), which readers take for an attack")
    }
    table += SeekTable.entry(
      stored: slot.output.count, content: slot.input.count,
      checksum: FrameTeam.Slot.checksum(ofFrame: slot.output))
  }
}
