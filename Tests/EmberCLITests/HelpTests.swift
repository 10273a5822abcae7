import EmberTestSupport
import Foundation
import Testing

@Suite("Help")
struct HelpTests {
  @Test(
    "is as committed",
    arguments: [
      "ember", "quantize", "plan", "run", "chat", "perplexity", "compare", "bench", "inspect",
      "verify", "tokenize", "logits", "export", "pack", "unpack",
    ])
  func help(of command: String) async throws {
    let folder = FileManager.default.temporaryDirectory
    let arguments = command == "ember" ? ["--help"] : [command, "--help"]
    let result = try await EmberProcess.run(arguments, in: folder)
    #expect(result.status == 0)
    #expect(result.error.isEmpty)
    try Snapshot.expect(result.output, equals: "help-\(command)")
    if command != "ember" {
      let other = try await EmberProcess.run(["help", command], in: folder)
      #expect(other.status == 0 && other.output == result.output)
    }
  }

  @Test("without a command is the same as --help")
  func noCommand() async throws {
    let folder = FileManager.default.temporaryDirectory
    let result = try await EmberProcess.run([], in: folder)
    let help = try await EmberProcess.run(["--help"], in: folder)
    #expect(result.status == 0 && result.output == help.output)
  }

  @Test("--version is one line")
  func version() async throws {
    let result = try await EmberProcess.run(
      ["--version"], in: FileManager.default.temporaryDirectory)
    #expect(result.status == 0 && result.output == "ember 0.1.0\n")
  }
}
