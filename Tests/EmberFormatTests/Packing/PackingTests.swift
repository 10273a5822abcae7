import EmberFormat
import EmberTestSupport
import Foundation
import SystemPackage
import Testing

/// There and back again.
@Suite struct PackingTests {
  private let folder: TestFolder
  private var model: FilePath { folder.path("model.q8") }
  private var packed: FilePath { folder.path("model.q8.zst") }
  private var unpacked: FilePath { folder.path("again.q8") }

  init() throws { folder = try TestFolder() }

  /// More than two frames, the last not full.
  private func writeLarge() throws {
    try Sample.write(
      [
        [try SampleTensor("a", .q8, 1500, 2000)],
        [try SampleTensor("b", .f16, 400, 1000), try SampleTensor("c", .q6, 100, 3000)],
      ], to: model)
  }

  @Test(arguments: [1, 2, 3, 5])
  func roundTrip(threads: Int) throws {
    try writeLarge()
    let original = try Sample.read(model)
    var reports: [Int] = []
    let summary = try ModelPacker(threads: threads).pack(model, to: .file(packed)) {
      reports.append($0)
      #expect($1 == original.count)
    }
    #expect(summary.modelBytes == original.count)
    #expect(summary.frames == (original.count + (2 << 20) - 1) / (2 << 20))
    #expect(summary.frames > 2)
    #expect(reports.last == original.count && reports == reports.sorted())
    let archive = try Sample.read(packed)
    #expect(summary.packedBytes == archive.count)
    var phases: [ModelUnpacker.Phase] = []
    let back = try ModelUnpacker(threads: threads).unpack(
      .file(packed), to: .file(unpacked)
    ) { phase, done, total in
      #expect(done <= total)
      phases.append(phase)
    }
    #expect(phases.first == .unpacking && phases.last == .verifying)
    #expect(back.modelBytes == original.count && back.packedBytes == archive.count)
    #expect(back.frames == summary.frames)
    #expect(try Sample.read(unpacked) == original)
    #expect(try folder.names == ["again.q8", "model.q8", "model.q8.zst"])
  }

  @Test func threadsAndRunsGiveEqualBytes() throws {
    try writeLarge()
    _ = try ModelPacker(threads: 1).pack(model, to: .file(packed))
    let first = try Sample.read(packed)
    _ = try ModelPacker(threads: 3).pack(model, to: .file(packed))
    #expect(try Sample.read(packed) == first)
  }

  @Test(arguments: [1, 9, 19])
  func levels(level: Int) throws {
    try Sample.write(try Sample.extents(), to: model)
    _ = try ModelPacker(level: level).pack(model, to: .file(packed))
    _ = try ModelUnpacker().unpack(.file(packed), to: .file(unpacked))
    #expect(try Sample.read(unpacked) == Sample.read(model))
  }

  @Test(arguments: [0, 20, -5, .max])
  func levelsThatThereAreNot(level: Int) throws {
    try Sample.write(try Sample.smallExtents(), to: model)
    let error = try formatError {
      _ = try ModelPacker(level: level).pack(model, to: .file(packed))
    }
    #expect(error?.category == .invalidContent)
    #expect(try folder.names == ["model.q8"])
  }

  /// The format is public: other people's programs read it.
  @Test func table() throws {
    try writeLarge()
    _ = try ModelPacker().pack(model, to: .file(packed))
    let bytes = try Sample.read(packed)
    var archive = ArchiveBytes(bytes)
    #expect(archive.bytes == bytes)
    let size = try Sample.read(model).count
    let contents = archive.frames.indices.map { min(2 << 20, size - $0 << 21) }
    #expect(contents.reduce(0, +) == size)
    archive.fixTable(contents: contents)
    #expect(archive.bytes == bytes)
  }

  @Test(
    .enabled(if: hasZstd, "needs the command zstd"))
  func ordinaryDecompressor() throws {
    try writeLarge()
    _ = try ModelPacker().pack(model, to: .file(packed))
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = ["zstd", "-d", "-q", packed.string, "-o", unpacked.string]
    try process.run()
    process.waitUntilExit()
    #expect(process.terminationStatus == 0)
    #expect(try Sample.read(unpacked) == Sample.read(model))
  }

  private static let hasZstd: Bool = {
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = ["zstd", "--version"]
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    guard (try? process.run()) != nil else { return false }
    process.waitUntilExit()
    return process.terminationStatus == 0
  }()

  @Test func damagedModelsAreNotPacked() throws {
    try Sample.write(try Sample.extents(), to: model)
    let good = try Sample.read(model)
    let file = try ModelFile(opening: model)
    for tensor in file.tensors {
      var bytes = good
      bytes[tensor.offset + tensor.byteCount / 2] ^= 1
      try Sample.store(bytes, at: model)
      let error = try formatError {
        _ = try ModelPacker().pack(model, to: .file(packed))
      }
      #expect(error?.description.contains("tensor '\(tensor.name)'") == true)
      #expect(try folder.names == ["model.q8"])
    }
    // Between header and weights, and the header itself.
    for offset in [300, 4095, 20] {
      var bytes = good
      bytes[offset] ^= 1
      try Sample.store(bytes, at: model)
      let error = try formatError { _ = try ModelPacker().pack(model, to: .file(packed)) }
      #expect(error?.category == .damaged)
    }
    // Right checksums do not make a scale finite.
    var broken = ModelBytes(bytes: good)
    let scale = Int(broken.u64(broken.record(0) + 120))
    broken.bytes.replaceSubrange(scale..<scale + 2, with: [0, 0x7C])
    broken.fixTensorChecksum(0)
    try Sample.store(broken.bytes, at: model)
    let error = try formatError { _ = try ModelPacker().pack(model, to: .file(packed)) }
    #expect(error?.description.contains("finite scale") == true)
  }

  @Test func whatIsNoModelIsNotPacked() throws {
    #expect(
      try formatError { _ = try ModelPacker().pack(model, to: .file(packed)) }
        == .notFound(model))
    try Sample.write(try Sample.smallExtents(), to: model)
    _ = try ModelPacker().pack(model, to: .file(packed))
    let error = try formatError { _ = try ModelPacker().pack(packed, to: .file(unpacked)) }
    #expect(error?.description.contains("ember unpack") == true)
  }

  @Test func progressEndsTheWork() throws {
    struct Stop: Error {}
    try writeLarge()
    #expect(throws: Stop.self) {
      try ModelPacker().pack(model, to: .file(packed)) { _, _ in throw Stop() }
    }
    #expect(try folder.names == ["model.q8"])
    _ = try ModelPacker().pack(model, to: .file(packed))
    for phase in [ModelUnpacker.Phase.unpacking, .verifying] {
      #expect(throws: Stop.self) {
        try ModelUnpacker().unpack(.file(packed), to: .file(unpacked)) { found, _, _ in
          if found == phase { throw Stop() }
        }
      }
      #expect(try folder.names == ["model.q8", "model.q8.zst"])
    }
  }
}
