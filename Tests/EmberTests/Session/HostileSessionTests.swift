import EmberFormat
import EmberModel
import Foundation
import SystemPackage
import Testing

/// Broken and hostile session files: one clear line, no crash, and an empty session.
struct HostileSessionTests {
  private let folder: TemporaryFolder
  private let session: InferenceSession
  private let tokens: [Int32] = (0..<70).map { Int32(3 + $0 * 5 % 200) }
  private let good: [UInt8]
  private var path: FilePath { folder.path("a.session") }

  init() throws {
    folder = try TemporaryFolder()
    let model = try TinyModel.make(.random(seed: 3), in: folder, contextLength: 128)
    session = try InferenceSession(model: model, threads: 1)
    _ = try session.append(tokens)
    let path = folder.path("a.session")
    try SessionFile(path).save(tokens, of: session)
    good = Array(try Data(contentsOf: URL(filePath: path.string)))
  }

  /// The error of restoring everything from these bytes.
  private func error(_ bytes: [UInt8]) throws -> SessionFileError? {
    try Data(bytes).write(to: URL(filePath: path.string))
    do throws(SessionFileError) {
      // One more, so that the last block is wanted to its end.
      _ = try SessionFile(path).restore(tokens + [5], into: session)
      return nil
    } catch {
      #expect(session.position == 0)
      #expect(!error.description.contains("\n"))
      #expect(error.description.hasPrefix(path.string + ": "), "\(error)")
      return error
    }
  }

  private static func store(_ value: UInt64, _ width: Int, at offset: Int, in bytes: inout [UInt8])
  {
    for index in 0..<width { bytes[offset + index] = UInt8(value >> (8 * UInt64(index)) & 255) }
  }

  private static func fixChecksum(_ bytes: inout [UInt8]) {
    store(UInt64(CRC32.checksum(Array(bytes[0..<380]))), 4, at: 380, in: &bytes)
  }

  @Test("the file as it was written is taken")
  func whole() throws {
    #expect(try error(good) == nil)
    #expect(session.position == 70)
  }

  @Test("every truncation, and a byte too many")
  func lengths() throws {
    for count in stride(from: 0, to: good.count, by: 7) {
      #expect(try error(Array(good.prefix(count))) != nil, "\(count) bytes")
    }
    #expect(try error(good + [0]) != nil)
    // The same, where the header agrees.
    var longer = good + [0]
    Self.store(UInt64(longer.count), 8, at: 16, in: &longer)
    Self.fixChecksum(&longer)
    #expect(try error(longer)?.description.contains("the end of the file") == true)
    var shorter = Array(good.dropLast(5))
    Self.store(UInt64(shorter.count), 8, at: 16, in: &shorter)
    Self.fixChecksum(&shorter)
    #expect(try error(shorter)?.description.contains("the rest") == true)
  }

  @Test("every flipped byte")
  func flips() throws {
    for offset in good.indices where offset < 700 || offset % 11 == 0 {
      var bytes = good
      bytes[offset] ^= 0x41
      #expect(try error(bytes) != nil, "byte \(offset)")
    }
  }

  @Test("every field of the header, its checksum right")
  func header() throws {
    for (offset, width) in [
      (0, 8), (8, 4), (12, 4), (16, 8), (24, 8), (32, 8), (88, 8), (256, 8), (280, 8), (288, 4),
      (292, 4), (296, 4), (300, 4), (304, 4), (308, 8), (372, 8),
    ] {
      let mask: UInt64 = width == 8 ? .max : 0xFFFF_FFFF
      let old = (0..<width).reduce(UInt64(0)) { $0 | UInt64(good[offset + $1]) << (8 * UInt64($1)) }
      for value in [0, 1, mask, mask >> 1, old &+ 1, old &- 1, old ^ 64, 0x8080_8080] {
        guard value & mask != old else { continue }
        var bytes = good
        Self.store(value & mask, width, at: offset, in: &bytes)
        Self.fixChecksum(&bytes)
        #expect(try error(bytes) != nil, "offset \(offset) = \(value)")
      }
    }
    // The model's name is for people and escapes nothing.
    var named = good
    named.replaceSubrange(96..<100, with: [0x1B, 0x5B, 0x41, 0x0A])
    Self.fixChecksum(&named)
    #expect(try error(named) == nil)
    named[32] ^= 1
    Self.fixChecksum(&named)
    let other = try #require(try error(named))
    #expect(!other.description.unicodeScalars.contains("\u{1B}"))
  }

  @Test("frames of any claimed size")
  func frames() throws {
    let start = 384 + 4 * tokens.count
    for value: UInt64 in [0, 1, 4, 0x7FFF_FFFF, 0xFFFF_FFFF] {
      var bytes = good
      Self.store(value, 4, at: start, in: &bytes)
      #expect(try error(bytes) != nil, "\(value)")
    }
  }

  @Test("files of another kind are named, and never replaced")
  func foreign() throws {
    for (bytes, words) in [
      ([], "an empty file"), ([1, 2, 3], "the first bytes 01 02 03"),
      ([UInt8](repeating: 0x5A, count: 1000), "not an Ember session file"),
    ] as [([UInt8], String)] {
      let error = try #require(try error(bytes))
      #expect(error.description.contains(words), "\(error)")
      #expect(throws: SessionFileError.self) { try SessionFile(path).check(for: session) }
      #expect(Array(try Data(contentsOf: URL(filePath: path.string))) == bytes)
    }
    var newer = good
    newer[8] = 2
    #expect(try error(newer) == .unsupportedVersion(path, found: 2))
  }
}
