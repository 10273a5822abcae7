import EmberFormat
import EmberTestSupport
import Foundation
import SystemPackage
import Testing

/// Broken and hostile archives: one clear line, and no file.
@Suite struct HostileArchiveTests {
  private let folder: TestFolder
  private var packed: FilePath { folder.path("a.zst") }
  private var target: FilePath { folder.path("b") }

  init() throws { folder = try TestFolder() }

  /// A whole archive of a small model.
  private func archive() throws -> ArchiveBytes {
    let model = folder.path("model")
    try Sample.write(try Sample.smallExtents(), to: model)
    _ = try ModelPacker().pack(model, to: .file(packed))
    try FileManager.default.removeItem(atPath: model.string)
    return ArchiveBytes(try Sample.read(packed))
  }

  /// The error of unpacking these bytes, nil for none; no file may be left by an error.
  private func error(_ bytes: [UInt8]) throws -> FormatError? {
    try Sample.store(bytes, at: packed)
    let error = try formatError {
      _ = try ModelUnpacker(threads: 2).unpack(.file(packed), to: .file(target))
    }
    if let error {
      #expect(error.description.hasPrefix(packed.string + ": "), "\(error)")
      #expect(!error.description.contains("\n"))
      #expect(try folder.names == ["a.zst"])
    } else {
      try FileManager.default.removeItem(atPath: target.string)
    }
    return error
  }

  @Test func everyTruncation() throws {
    let bytes = try archive().bytes
    #expect(try error(bytes) == nil)
    for count in 1..<bytes.count {
      let error = try #require(try error(Array(bytes.prefix(count))), "\(count)")
      if count >= 4 { #expect(error.description.contains("missing"), "\(count): \(error)") }
    }
    #expect(try error([])?.description.contains("an empty file") == true)
  }

  @Test func everyFlippedByte() throws {
    let bytes = try archive().bytes
    let model = try Sample.bytes(try Sample.smallExtents())
    var accepted = 0
    for offset in bytes.indices {
      for mask: UInt8 in [1, 0x80] {
        var changed = bytes
        changed[offset] ^= mask
        try Sample.store(changed, at: packed)
        let error = try formatError {
          _ = try ModelUnpacker(threads: 2).unpack(.file(packed), to: .file(target))
        }
        // Some bits of compressed blocks mean nothing; then the model is whole.
        if error == nil {
          #expect(try Sample.read(target) == model, "byte \(offset) ^ \(mask)")
          accepted += 1
        }
      }
    }
    #expect(accepted < bytes.count / 50)
  }

  @Test func foreignFiles() throws {
    let model = try Sample.bytes(try Sample.smallExtents())
    for (bytes, words) in [
      (model, "needs no unpacking"), (Array("PK\u{3}\u{4}".utf8), "zip archive"),
      ([1, 2, 3], "the first bytes 01 02 03"),
      (ArchiveBytes.archive([Array("GGUF and more".utf8)]).bytes, "a GGUF file"),
      (ArchiveBytes.archive([Array(model.prefix(100))]).bytes, "something else"),
    ] as [([UInt8], String)] {
      let error = try #require(try error(bytes))
      #expect(error.category == .notModelFile)
      #expect(error.description.contains(words), "\(error)")
    }
    var newer = model
    newer[8] = 2
    #expect(try error(ArchiveBytes.archive([newer]).bytes)?.category == .unsupported)
  }

  @Test func contradictions() throws {
    let good = try archive()
    let model = try Sample.bytes(try Sample.smallExtents())
    func rejects(
      _ words: String, _ change: (inout ArchiveBytes) -> Void,
      sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
      var archive = good
      change(&archive)
      let error = try #require(try error(archive.bytes), sourceLocation: sourceLocation)
      #expect(error.description.contains(words), "\(error)", sourceLocation: sourceLocation)
    }
    try rejects("the end of the archive") { $0.trailing = [0] }
    try rejects("the end of the archive") { $0.trailing = $0.bytes }
    try rejects("table of frames") { $0.entries.append($0.entries[0]) }
    try rejects("sizes and checksums") { $0.entries[0][11] ^= 1 }
    try rejects("sizes and checksums") { $0.entries[0][4] ^= 1 }
    try rejects("an end for 1 frames") { $0.footer[4] = 0 }
    try rejects("an end for 1 frames") { $0.footer[0] = 2 }
    try rejects("another frame") {
      $0.frames.append($0.frames[0])
      $0.fixTable(contents: [model.count, model.count])
    }
    // More and less than the model's header says.
    let more = try #require(try error(ArchiveBytes.archive([model + [0]]).bytes))
    #expect(more.description.contains("\(model.count) bytes, as the model's header says"))
    let less = try #require(try error(ArchiveBytes.archive([Array(model.dropLast())]).bytes))
    #expect(less.description.contains("\(model.count) bytes, as the model's header says"))
    // A model that is not whole although the archive is.
    var flipped = model
    flipped[4096] ^= 1
    let damaged = try #require(try error(ArchiveBytes.archive([flipped]).bytes))
    #expect(damaged.description.contains("tensor 'a': checksum"), "\(damaged)")
  }

  @Test func framesThatPackDoesNotWrite() throws {
    /// Magic, descriptor and what follows.
    func frame(_ rest: [UInt8]) -> [UInt8] { [0x28, 0xB5, 0x2F, 0xFD] + rest }
    let block: [UInt8] = [3 << 3 | 1, 0, 0, 7, 8, 9, 0, 0, 0, 0]
    for (bytes, words) in [
      // A dictionary; the reserved bit.
      (frame([0x25, 1, 3] + block), "dictionary"), (frame([0x2C, 3] + block), "dictionary"),
      // No checksum; no size.
      (frame([0x20, 3] + block), "checksum"), (frame([0x04, 0x58] + block), "checksum"),
      // 8 MiB and a byte, and nearly 2^64.
      (frame([0xA4, 1, 0, 0x80, 0] + block), "8388608 bytes of content"),
      (frame([0xE4] + [UInt8](repeating: 0xFF, count: 8) + block), "8388608 bytes of content"),
      // Nothing.
      (frame([0x24, 0] + block), "1 to 8388608"),
      // A window of 9 MiB, for 3 bytes.
      (frame([0x84, 13 << 3 | 1, 3, 0, 0, 0] + block), "a window of 9437184"),
      // A block beyond its limit, the reserved kind, and one that lasts for ever.
      (frame([0x24, 3, 0xFF, 0xFF, 0xFF]), "more"),
      (frame([0x24, 3, 3 << 3 | 7, 0, 0, 7, 8, 9, 0, 0, 0, 0]), "no whole frame"),
      (frame([0x24, 3] + [UInt8](repeating: 0, count: 1000)), "more"),
      // A wrong checksum.
      (frame([0x24, 3] + block), "checksum"),
    ] as [([UInt8], String)] {
      var archive = ArchiveBytes.archive([[0]])
      archive.frames = [bytes]
      archive.fixTable(contents: [3])
      let error = try #require(try error(archive.bytes))
      #expect(error.description.contains(words), "\(error)")
    }
  }

  /// Zeros without end behind a model's header: stopped by what the header says, and where that
  /// agrees, by the ratio.
  @Test(arguments: [false, true])
  func bomb(headerAgrees: Bool) throws {
    var start = try Sample.bytes(try Sample.smallExtents())
    let bytes = 8 << 20
    let frames = 20
    if headerAgrees {
      let size = UInt64(bytes * frames)
      for index in 0..<8 { start[16 + index] = UInt8(size >> (8 * UInt64(index)) & 255) }
    }
    let zeros = ArchiveBytes.frame([UInt8](repeating: 0, count: bytes))
    #expect(zeros.count < 2000)
    var archive = ArchiveBytes.archive([start + [UInt8](repeating: 0, count: bytes - start.count)])
    archive.frames += [[UInt8]](repeating: zeros, count: frames - 1)
    archive.fixTable(contents: [Int](repeating: bytes, count: frames))
    let error = try #require(try error(archive.bytes))
    #expect(
      error.description.contains(headerAgrees ? "stored ones" : "model's header"), "\(error)")
  }

  /// The corpus only ever grows.
  @Test func attacks() throws {
    let attacks = URL(filePath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().appending(path: "attacks")
    let names = try FileManager.default.contentsOfDirectory(atPath: attacks.path)
      .filter { $0.hasSuffix(".zst") }
    #expect(names.count >= 8)
    for name in names {
      #expect(throws: FormatError.self, "\(name)") {
        try ModelUnpacker().unpack(
          .file(FilePath(attacks.appending(path: name).path)), to: .file(target))
      }
      #expect(try folder.names.isEmpty, "\(name)")
    }
  }

  @Test func targets() throws {
    let bytes = try archive().bytes
    try Sample.store(bytes, at: packed)
    for (path, category) in [
      (FilePath(folder.url.path), FormatError.Category.isDirectory),
      ("/dev/null", .unreadable), (folder.path("absent/model"), .cannotWrite),
    ] {
      let error = try formatError {
        _ = try ModelUnpacker().unpack(.file(packed), to: .file(path))
      }
      #expect(error?.category == category)
    }
  }
}
