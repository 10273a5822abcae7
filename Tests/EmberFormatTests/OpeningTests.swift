import EmberFormat
import EmberTestSupport
import Foundation
import SystemPackage
import Testing

/// What opening says about files that are not, or no longer, model files.
@Suite struct OpeningTests {
  private let folder: TestFolder
  private var path: FilePath { folder.path("model.q4") }

  init() throws { folder = try TestFolder() }

  private func opening(_ bytes: [UInt8]) throws -> FormatError {
    try Sample.store(bytes, at: path)
    return try #require(try formatError { _ = try ModelFile(opening: path) })
  }

  @Test func missingOrNotAFile() throws {
    let missing = try formatError { _ = try ModelFile(opening: path) }
    #expect(missing == .notFound(path))
    #expect(missing?.category == .notFound)
    let directory = FilePath(folder.url.path)
    #expect(try formatError { _ = try ModelFile(opening: directory) } == .isDirectory(directory))
    #expect(
      try formatError { _ = try ModelFile(opening: "/dev/null") } == .notRegularFile("/dev/null"))
    #expect(
      try formatError { _ = try ModelFile(opening: path.appending("below")) }?.category
        == .notFound)
    try Sample.store([1], at: path)
    #expect(
      try formatError { _ = try ModelFile(opening: path.appending("below")) }?.category
        == .unreadable)
  }

  @Test func pipeDoesNotHang() throws {
    #expect(mkfifo(path.string, 0o600) == 0)
    #expect(try formatError { _ = try ModelFile(opening: path) } == .notRegularFile(path))
  }

  @Test func emptyFile() throws {
    let error = try opening([])
    #expect(error.category == .damaged)
    #expect(error.description.contains("empty file"))
  }

  @Test(
    arguments: [
      (Array("GGUF\u{3}\0\0\0".utf8), "GGUF"),
      (Array("PK\u{3}\u{4}".utf8), "PyTorch"),
      ([0x80, 0x02, 0x8A], "pickle"),
      (Array("version https://git-lfs.github.com/spec/v1\n".utf8), "git lfs pull"),
      (Array("<!DOCTYPE html><html>".utf8), "web page"),
      ([20, 0, 0, 0, 0, 0, 0, 0] + Array(#"{"__metadata__":{}}  "#.utf8), "safetensors"),
      (
        [
          32, 1, 0, 0, 0, 3, 0, 0, 6, 0, 0, 0, 6, 0, 0, 0, 6, 0, 0, 0, 0, 125, 0, 0, 0, 1, 0, 0,
          1, 2, 3, 4,
        ], "llama2.c"
      ),
      (Array("{\"a\": 1}".utf8), "JSON"),
      ([0x89, 0x45, 0x4D, 0x42, 0x52, 0x0A, 0x1A, 0x01], "text-mode"),
      ([0x09, 0x45, 0x4D, 0x42, 0x52, 0x0D, 0x0A, 0x1A], "text-mode"),
      (Array("nonsense".utf8), "6e 6f 6e 73 65 6e 73 65"),
      ([0], "00"),
    ] as [([UInt8], String)])
  func otherFormats(_ bytes: [UInt8], _ expected: String) throws {
    let error = try opening(bytes)
    #expect(error.category == .notModelFile)
    #expect(error.description.contains(expected), "\(error)")
  }

  @Test func newerVersion() throws {
    var model = ModelBytes(bytes: try Sample.bytes(try Sample.smallExtents()))
    model.set(7, at: 8, width: 4)
    let error = try opening(model.bytes)
    #expect(error == .unsupportedVersion(path, found: 7))
    #expect(error.category == .unsupported)
    #expect(error.description.contains("version 7"))
    #expect(error.description.contains("reads version 1"))
  }

  @Test func unknownFeatures() throws {
    var model = ModelBytes(bytes: try Sample.bytes(try Sample.smallExtents()))
    model.set(1 << 63 | 1 << 5, at: 24)
    model.fixHeaderChecksum()
    let error = try opening(model.bytes)
    #expect(error == .unsupportedFeatures(path, bits: 1 << 63 | 1 << 5))
    #expect(error.description.contains("bit 5, 63"))
  }

  @Test func severalParts() throws {
    var model = ModelBytes(bytes: try Sample.bytes(try Sample.smallExtents()))
    model.set(2, at: 32, width: 4)
    model.set(3, at: 36, width: 4)
    model.fixHeaderChecksum()
    let error = try opening(model.bytes)
    #expect(error == .unsupportedParts(path, index: 2, count: 3))
    #expect(error.description.contains("part 2 of 3"))
  }

  @Test func unknownBlockType() throws {
    var model = ModelBytes(bytes: try Sample.bytes(try Sample.smallExtents()))
    model.set(99, at: model.record(1) + 96, width: 4)
    model.fixChecksums()
    let error = try opening(model.bytes)
    #expect(error == .unsupportedBlockType(path, tensor: "b", found: 99))
    #expect(error.description.contains("0 (f32), 1 (f16), 2 (q8), 3 (q4)"))
  }

  @Test func duplicateName() throws {
    var model = ModelBytes(bytes: try Sample.bytes(try Sample.smallExtents()))
    model.bytes[model.record(1)] = UInt8(ascii: "a")
    model.fixChecksums()
    let error = try opening(model.bytes)
    #expect(error.category == .damaged)
    #expect(error.description.contains("another tensor of that name"))
  }

  @Test func overlappingTensors() throws {
    let extent = [try SampleTensor("a", .f32, 1, 32), try SampleTensor("b", .f32, 1, 32)]
    var model = ModelBytes(bytes: try Sample.bytes([extent]))
    model.set(4096 + 64, at: model.record(1) + 120)
    model.fixChecksums()
    let error = try opening(model.bytes)
    #expect(error.description.contains("tensor 'b': offset: expected 4224, found 4160"))
  }

  @Test func missingBytesAreCounted() throws {
    let bytes = try Sample.bytes(try Sample.extents())
    let error = try opening(Array(bytes.dropLast(1000)))
    #expect(error == .truncated(path, expected: bytes.count, found: bytes.count - 1000))
    #expect(error.description.contains("1000 bytes are missing"))
    #expect(try opening(bytes + [0]).description.contains("damaged: file size"))
  }

  /// Two hundred bytes that claim gigabytes, in both ways.
  @Test func bombs() throws {
    var model = ModelBytes(bytes: try Sample.bytes(try Sample.smallExtents()))
    model.set(64 << 20, at: ModelBytes.Section.metadata.rawValue + 16)
    model.fixChecksums()
    #expect(try opening(model.bytes).description.contains("metadata: raw size"))
    #expect(
      throws: FormatError.self, "a writer makes none either",
      performing: {
        try Sample.write(
          [], to: folder.path("bomb"), metadata: [UInt8](repeating: 32, count: 60 << 20))
      })
  }

  @Test func errorsAreOneLine() throws {
    let error = FormatError.notFound("a\nb\u{1B}[31m")
    #expect(error.description == #"a\nb\u{1B}[31m: no such file"#)
  }
}
