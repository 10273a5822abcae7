import SystemPackage

/// Unpacks what `ModelPacker` made.
///
/// ```swift
/// try ModelUnpacker().unpack(.file("model.q4.zst"), to: .file("model.q4"))
/// ```
///
/// Every frame's checksum, the table and the size are checked; and before a file appears at the
/// target, that it is a model file, whole, with the right checksum of every tensor. What goes to
/// standard output cannot be checked as a model before it is gone; everything else is. The archive is
/// read once, from front to back; memory does not grow with it.
public struct ModelUnpacker: Sendable {
  public var threads: Int

  public init(threads: Int = 1) { self.threads = threads }

  /// What is being done.
  public enum Phase: Sendable {
    case unpacking, verifying
  }

  /// - Parameter progress: called often with the bytes of the model that are done, of all; what it
  ///   throws ends the work, and no file is left.
  /// - Throws: `FormatError`, and what `progress` throws.
  public func unpack(
    _ input: StreamPlace, to output: StreamPlace,
    progress: (_ phase: Phase, _ bytesDone: Int, _ bytesTotal: Int) throws -> Void = { _, _, _ in }
  ) throws -> PackingSummary {
    var source = try ByteSource(input)
    try Self.checkStart(&source)
    guard let team = FrameTeam.decompressing(threads: threads) else {
      throw FormatError.invalidContent(source.path, "zstd has no memory for \(threads) threads")
    }
    var reader = FrameReader(source)
    var sink = try ByteSink(output)
    var modelBytes: Int?
    var isDone = false
    while !isDone {
      var count = 0
      let first = reader.frames
      while count < team.slots.count {
        // The first alone: it tells what this is.
        if modelBytes == nil, count == 1 { break }
        guard let content = try reader.next(&team.slots[count].input) else {
          isDone = true
          break
        }
        team.slots[count].outputBytes = content
        count += 1
      }
      team.run(count)
      for (index, slot) in team.slots[..<count].enumerated() {
        if let failure = slot.failure {
          throw FormatError.damaged(
            reader.path, place: "frame \(first + index)",
            expected: "a zstd frame of \(slot.outputBytes) bytes", found: failure)
        }
        if modelBytes == nil { modelBytes = try Self.modelBytes(slot.output, reader.path) }
        if let modelBytes, slot.output.count > modelBytes - sink.position {
          throw FormatError.damaged(
            reader.path, place: "content",
            expected: "\(modelBytes) bytes, as the model's header says", found: "more")
        }
        try sink.append(slot.output)
      }
      try progress(.unpacking, sink.position, modelBytes ?? sink.position)
    }
    guard sink.position == modelBytes else {
      throw FormatError.damaged(
        reader.path, place: "content",
        expected: "\(modelBytes ?? 0) bytes, as the model's header says", found: "\(sink.position)")
    }
    if let temporary = sink.temporaryPath {
      try Self.verify(temporary, as: reader.path) { try progress(.verifying, $0, $1) }
    }
    try sink.commit()
    return PackingSummary(
      modelBytes: sink.position, packedBytes: reader.source.position, frames: reader.frames)
  }

  /// People pass the model itself, or another file.
  private static func checkStart(_ source: inout ByteSource) throws(FormatError) {
    let start = try source.peek(256)
    guard !start.isEmpty else {
      throw .notPackedFile(source.path, found: "an empty file")
    }
    if start.starts(with: FileHeader.magic) {
      throw .notPackedFile(source.path, found: "an Ember model file, which needs no unpacking")
    }
    guard start.count >= 4, start.littleEndian(UInt32.self, at: 0) == ZstdFrameHeader.magic else {
      throw .notPackedFile(
        source.path,
        found: ForeignFormat.describe(start, fileBytes: source.byteCount ?? start.count))
    }
  }

  /// The size that the model's header claims, from the first frame.
  private static func modelBytes(
    _ start: [UInt8], _ path: FilePath
  ) throws(FormatError) -> Int {
    guard start.starts(with: FileHeader.magic), start.count >= FileHeader.byteCount else {
      throw .notPackedFile(
        path,
        found: "zstd frames of something else: "
          + ForeignFormat.describe(Array(start.prefix(256)), fileBytes: start.count))
    }
    let version = start.littleEndian(UInt32.self, at: 8)
    guard version == FileHeader.supportedVersion else {
      throw .unsupportedVersion(path, found: version)
    }
    let claimed = start.littleEndian(UInt64.self, at: 16)
    guard let bytes = Int(exactly: claimed) else {
      throw .damaged(
        path, place: "size in the model's header", expected: "less than 2^63", found: "\(claimed)")
    }
    return bytes
  }

  /// Opens and verifies the file that was written; errors name the archive.
  private static func verify(
    _ temporary: FilePath, as path: FilePath, progress: (Int, Int) throws -> Void
  ) throws {
    let file = try ModelFile(opening: temporary, named: path)
    var failure: (any Error)?
    try file.verify { done, total in
      do { if failure == nil { try progress(done, total) } } catch { failure = error }
    }
    if let failure { throw failure }
  }
}
