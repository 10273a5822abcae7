import EmberTestSupport
import Foundation
import Testing

/// `ember bench` from outside; what it measures is not looked at.
@Suite("bench")
struct BenchTests {
  private static let short = [
    "--generate", "2", "--prompt-tokens", "8,16", "--repetitions", "1", "--threads", "1",
  ]

  @Test("Every format has a row per test and number of threads")
  func formats() async throws {
    let folder = try TestData.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let base = ["bench", "--synthetic", "tiny"] + Self.short
    let markdown = try await EmberProcess.run(base, in: folder)
    #expect(markdown.status == 0 && markdown.error.isEmpty, "\(markdown)")
    let lines = markdown.output.split(separator: "\n")
    #expect(lines.count == 6, "\(markdown.output)")
    #expect(lines[0].contains("random-tiny.q4") && lines[0].contains("kernels "))
    #expect(lines[3].hasPrefix("| decode 2 at 16 |"))
    let csv = try await EmberProcess.run(base + ["--format", "csv"], in: folder)
    #expect(csv.output.split(separator: "\n").count == 4)
    let json = try await EmberProcess.run(base + ["--threads", "2,1", "--json"], in: folder)
    let results = try #require(try json.json["results"] as? [[String: Any]])
    #expect(results.map { $0["tokens"] as? Int } == [2, 8, 16, 2, 8, 16])
    #expect(results.map { $0["threads"] as? Int } == [2, 2, 2, 1, 1, 1])
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
  }

  @Test("A model that was kept is a model")
  func keep() async throws {
    let folder = try TestData.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let bench = try await EmberProcess.run(
      ["bench", "--synthetic", "64x1x128x4x4x272x64", "--bits", "8", "--outliers", "1"]
        + ["--keep", "kept.q8"] + Self.short, in: folder)
    #expect(bench.status == 0, "\(bench)")
    let verify = try await EmberProcess.run(["verify", "kept.q8"], in: folder)
    #expect(verify.status == 0, "\(verify)")
    let again = try await EmberProcess.run(["bench", "kept.q8"] + Self.short, in: folder)
    #expect(again.status == 0 && again.output.contains("kept.q8"), "\(again)")
    let failed = try await EmberProcess.run(
      ["bench", "--synthetic", "tiny", "--keep", "."] + Self.short, in: folder)
    #expect(failed.isError(73), "\(failed)")
  }

  @Test("EMBER_KERNELS chooses the kernels, and every command refuses a name that there is not")
  func kernels() async throws {
    let folder = try TestData.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let scalar = try await EmberProcess.run(
      ["bench", "--synthetic", "tiny", "--json"] + Self.short, in: folder,
      environment: ["EMBER_KERNELS": "scalar"])
    #expect(try scalar.json["kernels"] as? String == "scalar")
    for command in [["bench", "--kernels"], ["inspect", "missing"]] {
      let result = try await EmberProcess.run(
        command, in: folder, environment: ["EMBER_KERNELS": "mmx"])
      #expect(result.isError(64), "\(result)")
      #expect(result.error.contains("scalar, portable") && result.error.contains("mmx"))
    }
    let help = try await EmberProcess.run(
      ["--help"], in: folder, environment: ["EMBER_KERNELS": "mmx"])
    #expect(help.status == 0)
  }
}
