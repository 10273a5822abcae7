import EmberFormat
import EmberTestSupport
import Foundation
import SystemPackage
import Testing

/// What a run that ends badly leaves behind. The runs are child processes, so that they can really
/// be killed and limited.
@Suite struct InterruptionTests {
  @Test func killedWriter() async throws {
    let folder = try TestFolder()
    let path = folder.path("model.q4")
    try Sample.write(try Sample.smallExtents(), to: path)
    let old = try Sample.read(path)
    let name = path.string
    await #expect(processExitsWith: .signal(SIGKILL)) { [name = name as String] in
      var writer = try ModelFileWriter(creating: FilePath(name))
      try writer.beginExtent()
      try Sample.write(try SampleTensor("t", .q8, 1000, 3000), to: &writer)
      kill(getpid(), SIGKILL)
    }
    #expect(try Sample.read(path) == old)
    #expect(try folder.names.count == 2, "the dead run's temporary file")
    try Sample.write(try Sample.extents(), to: path)
    #expect(try folder.names == ["model.q4"])
    _ = try ModelFile(opening: path, verifyingChecksums: true)
  }

  /// The limit on the size of files stands in for a full disk: it needs no rights.
  @Test func noRoom() async throws {
    let folder = try TestFolder()
    let path = folder.path("model.q4")
    try Sample.write(try Sample.smallExtents(), to: path)
    let old = try Sample.read(path)
    let name = path.string
    await #expect(processExitsWith: .exitCode(42)) { [name = name as String] in
      signal(SIGXFSZ, SIG_IGN)
      var limit = rlimit(rlim_cur: 1 << 20, rlim_max: 1 << 20)
      #if canImport(Glibc)
        let resource = __rlimit_resource_t(RLIMIT_FSIZE.rawValue)
      #else
        let resource = RLIMIT_FSIZE
      #endif
      guard setrlimit(resource, &limit) == 0 else { exit(1) }
      do {
        try Sample.write([[try SampleTensor("t", .q8, 1000, 3000)]], to: FilePath(name))
      } catch let error as FormatError {
        exit(error.category == .diskFull ? 42 : 2)
      }
    }
    #expect(try Sample.read(path) == old)
    #expect(try folder.names == ["model.q4"])
  }

  /// A disk that is really full, where this machine lets a test mount one.
  @Test(.enabled(if: canMount, "mounting a disk needs Linux and the superuser"))
  func fullDisk() throws {
    let folder = try TestFolder()
    let disk = folder.url.appending(path: "disk")
    try FileManager.default.createDirectory(at: disk, withIntermediateDirectories: false)
    try #require(Self.mount(disk))
    defer { Self.unmount(disk) }
    let path = folder.path("disk/model.q4")
    try Sample.write(try Sample.smallExtents(), to: path)
    let old = try Sample.read(path)
    let error = try formatError {
      try Sample.write([[try SampleTensor("t", .q8, 1000, 3000)]], to: path)
    }
    #expect(error == .diskFull(path, .noSpace))
    #expect(error?.description.contains("unharmed") == true)
    #expect(try Sample.read(path) == old)
    #expect(try FileManager.default.contentsOfDirectory(atPath: disk.path) == ["model.q4"])
  }

  /// Found out by trying: containers often deny it to their superuser.
  private static let canMount: Bool = {
    guard geteuid() == 0, let folder = try? TestFolder(), mount(folder.url) else { return false }
    unmount(folder.url)
    return true
  }()

  private static func mount(_ folder: URL) -> Bool {
    run("mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder.path)
  }

  private static func unmount(_ folder: URL) { _ = run("umount", folder.path) }

  private static func run(_ command: String...) -> Bool {
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = command
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    guard (try? process.run()) != nil else { return false }
    process.waitUntilExit()
    return process.terminationStatus == 0
  }
}
