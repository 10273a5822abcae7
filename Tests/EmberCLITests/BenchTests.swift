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
    let base = ["bench", "--synthetic", "tiny", "--depth", "0,40"] + Self.short
    let markdown = try await EmberProcess.run(base, in: folder)
    #expect(markdown.status == 0 && markdown.error.isEmpty, "\(markdown)")
    let lines = markdown.output.split(separator: "\n", omittingEmptySubsequences: false)
    #expect(lines[0].contains("random-tiny.q4") && lines[0].contains("kernels "))
    #expect(lines.contains { $0.hasPrefix("| decode 2 ") })
    #expect(lines.contains { $0.hasPrefix("| decode 2 at 40 ") })
    #expect(lines.contains { $0.hasPrefix("Ready after ") && $0.contains("Peak memory ") })
    // Rows of a table stand together, as wide as its header; the peaks and the tests.
    let tables = lines.split { !$0.hasPrefix("|") }
    #expect(tables.map(\.count) == [3, 6], "\(markdown.output)")
    for table in tables {
      #expect(Set(table.map { $0.split(separator: "|").count }).count == 1)
      #expect(Set(table.map(\.count)).count == 1)
    }
    let csv = try await EmberProcess.run(base + ["--format", "csv"], in: folder)
    let cells = csv.output.split(separator: "\n")
      .map { $0.split(separator: ",", omittingEmptySubsequences: false) }
    #expect(cells.count == 5)
    let json = try await EmberProcess.run(base + ["--threads", "2,1", "--json"], in: folder)
    let results = try #require(try json.json["results"] as? [[String: Any]])
    #expect(results.map { $0["tokens"] as? Int } == [2, 2, 8, 16, 2, 2, 8, 16])
    #expect(results.map { $0["depth"] as? Int } == [0, 40, 0, 0, 0, 40, 0, 0])
    #expect(results.map { $0["threads"] as? Int } == [2, 2, 2, 2, 1, 1, 1, 1])
    // The columns of CSV are the keys of JSON.
    let keys = Set(try json.json.keys).subtracting(["results"]).union(results[0].keys)
    // Commas inside the processor's name or the instructions would shift the cells of a row only.
    #expect(Set(cells[0].map(String.init)) == keys)
    for row in results {
      let isDecode = row["test"] as? String == "decode"
      #expect((row["bytes_per_second"] is NSNull) == !isDecode)
      #expect((row["cache_bytes_per_token"] is NSNull) == !isDecode)
      #expect((row["share_of_arithmetic_peak"] is NSNull) == isDecode)
      for key in ["read_bandwidth", "int8_peak", "f32_peak"] {
        let range = try ["minimum", "maximum"].map {
          try #require(row["\(key)_\($0)"] as? Double)
        }
        #expect(range[0] > 0 && range[0] <= range[1])
      }
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
  }

  @Test("Bytes per token are those of the file's tensors", arguments: [4, 16])
  func weightBytes(bits: Int) async throws {
    // 270 rows and 160 columns are padded; the head is the embedding.
    let checkpoint = try TinyCheckpoint()
    try await checkpoint.quantize(bits: bits)
    let model = bits == 16 ? "model.f16" : "model.q\(bits)"
    let inspect = try await checkpoint.ember("inspect", model, "--json")
    let bench = try await EmberProcess.run(
      ["bench", model, "--json"] + Self.short, in: checkpoint.folder)
    let tensors = try #require(try inspect.json["tensors"] as? [[String: Any]])
    let embedding = try #require(
      tensors.first { ($0["name"] as? String)?.contains("embed") ?? false })
    let total = tensors.reduce(0) { $0 + ($1["bytes"] as? Int ?? 0) }
    // Beside the head, the 16 rows of the embedding among which a token's lies: 17 groups of them.
    let row = try #require(embedding["bytes"] as? Int) / 17
    #expect(try bench.json["weight_bytes_per_token"] as? Int == total + row)
    #expect(try bench.json["file_bytes"] as? Int == inspect.json["file_bytes"] as? Int)
  }

  @Test("A signal leaves no temporary file", arguments: [SIGINT, SIGTERM])
  func interrupted(_ signal: Int32) async throws {
    let folder = try TestData.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    func files() -> Int {
      FileManager.default.enumerator(atPath: folder.path)?.allObjects.count ?? 0
    }
    let result = try await EmberProcess.run(
      ["bench", "--synthetic", "1.1B"], in: folder, environment: ["TMPDIR": folder.path]
    ) { running in
      try await running.wait { files() > 1 }
      running.send(signal)
    }
    #expect(result.status == 128 + signal && result.output.isEmpty, "\(result)")
    #expect(files() == 0)
  }

  @Test("A model larger than the disk is refused before anything is written")
  func fullDisk() async throws {
    let folder = try TestData.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let result = try await EmberProcess.run(
      ["bench", "--synthetic", "65536x65536x65536", "--keep", "huge.q4"], in: folder)
    #expect(result.isError(74), "\(result)")
    #expect(result.error.contains("free"))
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
