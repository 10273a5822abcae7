import EmberFormat
import EmberTestSupport
import Foundation
import SystemPackage
import Testing

/// The target appears whole or not at all, and nothing else stays behind.
@Suite struct WriterTests {
  private let folder: TestFolder
  private var path: FilePath { folder.path("model.q4") }

  init() throws { folder = try TestFolder() }

  private func permissions(_ path: FilePath) throws -> Int {
    let attributes = try FileManager.default.attributesOfItem(atPath: path.string)
    return try #require(attributes[.posixPermissions] as? Int)
  }

  @Test func droppedWriterLeavesNothing() throws {
    try Sample.store([1, 2, 3], at: path)
    do {
      var writer = try ModelFileWriter(creating: path)
      try writer.beginExtent()
      try Sample.write(try SampleTensor("t", .q8, 1000, 3000), to: &writer)
      #expect(try folder.names.count == 2)
    }
    #expect(try folder.names == ["model.q4"])
    #expect(try Sample.read(path) == [1, 2, 3])
  }

  @Test func staleFilesAreRemoved() throws {
    let stale = ".model.q4.0123456789abcdef.ember-tmp"
    let others = [
      ".model.q4.0123456789abcdeg.ember-tmp", ".model.q4.0123.ember-tmp",
      ".model.0123456789abcdef.ember-tmp", "model.q4.0123456789abcdef.ember-tmp",
      ".model.q4.x.0123456789abcdef.ember-tmp", ".other.q4.0123456789abcdef.ember-tmp",
    ]
    for name in [stale] + others { try Sample.store([1], at: folder.path(name)) }
    try Sample.write(try Sample.smallExtents(), to: path)
    #expect(try folder.names == (others + ["model.q4"]).sorted())
  }

  @Test func livingWritersAreLeftAlone() throws {
    var first = try ModelFileWriter(creating: path)
    try first.beginExtent()
    var second = try ModelFileWriter(creating: path)
    #expect(try folder.names.count == 2)
    try Sample.write(try SampleTensor("first", .f32, 2, 2), to: &first)
    try second.beginExtent()
    try Sample.write(try SampleTensor("second", .f32, 2, 2), to: &second)
    _ = try second.finish(metadata: [], tokenizer: [])
    #expect(try ModelFile(opening: path).tensors.map(\.name) == ["second"])
    _ = try first.finish(metadata: [], tokenizer: [])
    #expect(try ModelFile(opening: path).tensors.map(\.name) == ["first"])
    #expect(try folder.names == ["model.q4"])
  }

  @Test func manyConcurrentWriters() async throws {
    let path = path
    try await withThrowingTaskGroup(of: Void.self) { group in
      for _ in 0..<8 {
        group.addTask {
          for _ in 0..<5 { try Sample.write(try Sample.extents(), to: path) }
        }
      }
      try await group.waitForAll()
    }
    _ = try ModelFile(opening: path, verifyingChecksums: true)
    #expect(try folder.names == ["model.q4"])
  }

  @Test func longName() throws {
    let name = String(repeating: "ä", count: 120) + ".q4"
    try Sample.write(try Sample.smallExtents(), to: folder.path(name))
    #expect(try folder.names.count == 1)
    _ = try ModelFile(opening: folder.path(name))
  }

  @Test func permissionsAreKept() throws {
    try Sample.store([1], at: path)
    try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path.string)
    try Sample.write(try Sample.smallExtents(), to: path)
    #expect(try permissions(path) == 0o600)
    try FileManager.default.removeItem(atPath: path.string)
    try Sample.write(try Sample.smallExtents(), to: path)
    #expect(try permissions(path) & ~0o644 == 0)
    #expect(try permissions(path) & 0o600 == 0o600)
  }

  @Test func symbolicLinkStays() throws {
    let below = folder.url.appending(path: "below")
    try FileManager.default.createDirectory(at: below, withIntermediateDirectories: false)
    try FileManager.default.createSymbolicLink(
      atPath: path.string, withDestinationPath: "below/real.q4")
    for _ in 0..<2 {  // dangling, then not
      try Sample.write(try Sample.smallExtents(), to: path)
      #expect(try FileManager.default.contentsOfDirectory(atPath: below.path) == ["real.q4"])
      #expect(
        try FileManager.default.destinationOfSymbolicLink(atPath: path.string) == "below/real.q4")
      _ = try ModelFile(opening: path)
    }
    let loop = folder.path("loop")
    try FileManager.default.createSymbolicLink(
      atPath: loop.string, withDestinationPath: "loop")
    #expect(throws: FormatError.self) { try Sample.write([], to: loop) }
  }

  @Test func refusedTargets() throws {
    let directory = FilePath(folder.url.path)
    #expect(try formatError { try Sample.write([], to: directory) } == .isDirectory(directory))
    #expect(
      try formatError { try Sample.write([], to: "/dev/null") } == .notRegularFile("/dev/null"))
    #expect(try formatError { try Sample.write([], to: "") }?.category == .isDirectory)
    #expect(try formatError { try Sample.write([], to: "..") }?.category == .isDirectory)
    let error = try formatError { try Sample.write([], to: folder.path("absent/model.q4")) }
    #expect(error?.category == .cannotWrite)
    #expect(try folder.names.isEmpty)
  }

  @Test(
    .enabled(if: geteuid() != 0, "nothing is write-protected from the superuser"))
  func writeProtectedTarget() throws {
    try Sample.store([1], at: path)
    try FileManager.default.setAttributes([.posixPermissions: 0o444], ofItemAtPath: path.string)
    #expect(try formatError { try Sample.write([], to: path) }?.category == .cannotWrite)
    #expect(try Sample.read(path) == [1])
  }

  /// A call out of order fails, and so does everything after it.
  @Test(arguments: 0..<13)
  func misuse(_ index: Int) throws {
    let layout = try TensorLayout(type: .f32, rows: 2, columns: 2)
    let error = try formatError {
      var writer = try ModelFileWriter(creating: path)
      func check(_ body: (inout ModelFileWriter) throws -> Void) throws {
        #expect(throws: FormatError.self, "\(index)") { try body(&writer) }
      }
      if index > 0 {
        try writer.beginExtent()
        if index > 4 { try writer.beginTensor(named: "t", layout: layout) }
        if index > 8 {
          try writer.write([UInt8](repeating: 0, count: 16))
          if index > 11 { try writer.endTensor(outlierCount: 0, relativeError: 0) }
        }
      }
      switch index {
      case 0: try check { try $0.beginTensor(named: "t", layout: layout) }
      case 1: try check { try $0.beginExtent() }
      case 2: try check { try $0.write([1]) }
      case 3: try check { try $0.beginTensor(named: "two words", layout: layout) }
      case 4:
        try check {
          try $0.beginTensor(named: String(repeating: "x", count: 97), layout: layout)
        }
      case 5: try check { try $0.endTensor(outlierCount: 0, relativeError: 0) }
      case 6: try check { try $0.write([UInt8](repeating: 0, count: 17)) }
      case 7: try check { try $0.beginTensor(named: "u", layout: layout) }
      case 8: try check { try $0.beginExtent() }
      case 9: try check { try $0.endTensor(outlierCount: 1, relativeError: 0) }
      case 10: try check { try $0.endTensor(outlierCount: 0, relativeError: .nan) }
      case 11: try check { try $0.write([0]) }
      default: try check { try $0.beginTensor(named: "t", layout: layout) }
      }
      _ = try writer.finish(metadata: [], tokenizer: [])
    }
    #expect(error?.category == .invalidContent)
    #expect(try folder.names.isEmpty)
  }
}
