import EmberQuantizer
import EmberTestSupport
import Foundation
import SystemPackage
import Testing

@Suite struct CheckpointPathTests {
  @Test func nothingThere() throws {
    let fixture = try CheckpointFixture()
    let path = fixture.path("absent.bin")
    #expect(openingError(path) == .notFound(path: path))
    #expect(openingError(path)?.category == .notFound)
    #expect(openingError("")?.category == .notFound)
  }

  @Test func foldersWithoutTheirParts() throws {
    let fixture = try CheckpointFixture()
    #expect(openingError(fixture.path) == .noConfiguration(folder: fixture.path))
    try fixture.write([1], to: "model.safetensors")
    #expect(
      openingError(fixture.path("model.safetensors")) == .noConfiguration(folder: fixture.path))
    try FileManager.default.removeItem(at: fixture.folder.appending(path: "model.safetensors"))
    try fixture.write(CheckpointFixture.llamaConfiguration)
    #expect(openingError(fixture.path) == .noWeights(folder: fixture.path))
    try fixture.write([1], to: "pytorch_model.bin")
    #expect(openingError(fixture.path)?.category == .damaged)
    try fixture.write([], to: "model.safetensors")
    #expect(openingError(fixture.path) == .emptyFile(path: fixture.path("model.safetensors")))
    try fixture.write([], to: "config.json")
    #expect(openingError(fixture.path) == .emptyFile(path: fixture.path("config.json")))
  }

  @Test func specialFiles() throws {
    let fixture = try CheckpointFixture()
    #expect(openingError("/dev/null") == .notAFile(path: "/dev/null"))
    try fixture.write(CheckpointFixture.llamaConfiguration)
    try FileManager.default.createDirectory(
      at: fixture.folder.appending(path: "model.safetensors"), withIntermediateDirectories: false)
    #expect(openingError(fixture.path) == .notAFile(path: fixture.path("model.safetensors")))
    let below = fixture.path("config.json").appending("below")
    #expect(
      openingError(below)
        == .unreadable(path: below, operation: "open it", errno: .notDirectory))
  }

  /// The superuser may read everything.
  @Test(.enabled(if: getuid() != 0, "the superuser ignores permissions"))
  func withoutPermission() throws {
    let fixture = try CheckpointFixture()
    let path = fixture.path("model.bin")
    try fixture.write([1], to: "model.bin")
    try FileManager.default.setAttributes([.posixPermissions: 0], ofItemAtPath: path.string)
    #expect(
      openingError(path)
        == .unreadable(path: path, operation: "open it", errno: .permissionDenied))
  }

  @Test func configurationsAreSmall() throws {
    let fixture = try CheckpointFixture()
    try fixture.writeLlama()
    try fixture.write(String(repeating: " ", count: 4 << 20) + "{}", to: "config.json")
    guard case .tooLarge = try #require(openingError(fixture.path)) else {
      Issue.record("expected .tooLarge")
      return
    }
  }
}
