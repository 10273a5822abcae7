import Ember
import EmberTestSupport
import Foundation
import Testing

#if canImport(FoundationXML)
  import FoundationXML
#endif

/// `compare --plot` and what it says; `inspect --outliers` and what it draws.
@Suite("Pictures")
struct PlotTests {
  private func checkpoint() async throws -> TinyCheckpoint {
    let checkpoint = try TinyCheckpoint()
    try await checkpoint.quantize(bits: 8)
    try await checkpoint.quantize(bits: 16)
    let quantized = try await checkpoint.ember(
      "quantize", "model.bin", "--outliers", "5", "-o", "model.q4")
    try #require(quantized.status == 0, "\(quantized.error)")
    try checkpoint.write(String(repeating: "the note on the hat ", count: 40), to: "text.txt")
    return checkpoint
  }

  private static let compare = [
    "compare", "model.f16", "model.q8", "model.q4", "--text", "text.txt", "--context", "64",
  ]

  private func isWellFormed(_ checkpoint: TinyCheckpoint, _ name: String) throws -> Bool {
    XMLParser(data: Data(try checkpoint.bytes(of: name))).parse()
  }

  @Test("compare draws the same picture each time, and says which file to take")
  func comparison() async throws {
    let checkpoint = try await checkpoint()
    let before = try checkpoint.files
    func run(_ arguments: String...) async throws -> EmberProcess.Result {
      try await EmberProcess.run(Self.compare + arguments, in: checkpoint.folder)
    }
    let text = try await run("--plot", "a.svg", "--threads", "1")
    #expect(text.status == 0, "\(text)")
    #expect(try isWellFormed(checkpoint, "a.svg"))
    let json = try await run("--json", "--plot", "b.svg")
    #expect(try checkpoint.bytes(of: "a.svg") == checkpoint.bytes(of: "b.svg"))
    #expect(try checkpoint.files == (before + ["a.svg", "b.svg"]).sorted())
    let recommendation = try #require(try json.json["recommendation"] as? [String: Any])
    let sentence = try #require(recommendation["sentence"] as? String)
    #expect(text.output.split(separator: "\n").contains(Substring(sentence)), "\(text.output)")
    let file = try #require(recommendation["file"] as? String)
    #expect(sentence.hasPrefix("Take \(file):"))
    // An earlier picture is replaced.
    try checkpoint.write("old", to: "a.svg")
    _ = try await run("--plot", "a.svg")
    #expect(try checkpoint.bytes(of: "a.svg") == checkpoint.bytes(of: "b.svg"))
  }

  @Test("Places that take no picture, before anything is computed")
  func refusals() async throws {
    let checkpoint = try await checkpoint()
    for name in ["model.svg", "text.svg"] {
      try FileManager.default.copyItem(
        atPath: checkpoint.path(name == "text.svg" ? "text.txt" : "model.q4"),
        toPath: checkpoint.path(name))
    }
    try FileManager.default.createDirectory(
      at: checkpoint.folder.appending(path: "folder.svg"), withIntermediateDirectories: false)
    try FileManager.default.createSymbolicLink(
      atPath: checkpoint.path("link.svg"), withDestinationPath: "model.q4")
    try FileManager.default.linkItem(
      atPath: checkpoint.path("model.q4"), toPath: checkpoint.path("hard.svg"))
    let before = try checkpoint.files
    let compare = ["compare", "model.f16", "model.svg", "model.q4", "--text", "text.svg", "--plot"]
    let inspect = ["inspect", "model.q4", "--outliers", "--plot"]
    for (arguments, status, words) in [
      (compare + ["model.svg"], 73, "is read by this command"),
      (compare + ["./folder.svg/../model.svg"], 73, "is read by this command"),
      (compare + ["text.svg"], 73, "is read by this command"),
      (compare + ["link.svg"], 73, "is read by this command"),
      (compare + ["hard.svg"], 73, "is read by this command"),
      (inspect + ["link.svg"], 73, "is read by this command"),
      (compare + ["nowhere/a.svg"], 73, "nowhere"),
      (inspect + ["nowhere/a.svg"], 73, "nowhere"),
      (compare + ["folder.svg"], 73, "with --plot"), (compare + ["a.png"], 64, ".svg"),
      (compare + ["model.q8"], 64, ".svg"), (compare + [""], 64, "empty"),
      (["inspect", "model.q4", "--plot", "a.svg"], 64, "--outliers"),
    ] {
      let result = try await EmberProcess.run(arguments, in: checkpoint.folder)
      #expect(result.isError(Int32(status)), "\(arguments): \(result)")
      #expect(result.error.contains(words), "\(result.error)")
      #expect(try checkpoint.files == before)
    }
    // What fails later leaves no picture either.
    for arguments in [
      ["compare", "model.f16", "missing.q4", "--text", "text.txt", "--plot", "a.svg"],
      ["compare", "model.f16", "model.q4", "--text", "missing.txt", "--plot", "a.svg"],
      ["inspect", "model.bin", "--outliers", "--plot", "a.svg"],
    ] {
      let result = try await EmberProcess.run(arguments, in: checkpoint.folder)
      #expect(result.status != 0 && result.output.isEmpty)
      #expect(try checkpoint.files == before)
    }
  }

  @Test("inspect --outliers counts what the directory says, in text, JSON and picture")
  func outliers() async throws {
    let checkpoint = try await checkpoint()
    let result = try await checkpoint.ember(
      "inspect", "model.q4", "--outliers", "--json", "--plot", "o.svg")
    #expect(result.status == 0 && result.error.isEmpty, "\(result)")
    #expect(try isWellFormed(checkpoint, "o.svg"))
    let json = try result.json
    let keys = Set(JSONKeyTests.keys(of: json, prefix: "")).sorted()
    try Snapshot.expect(keys.joined(separator: "\n") + "\n", equals: "json-inspect-outliers")
    let documentation = try String(
      contentsOfFile: TestData.bundled("docs/json.md"), encoding: .utf8)
    for key in keys {
      let name = key.split(separator: ".").last.map(String.init) ?? key
      #expect(documentation.contains("`\(name)`"), "\(key) is not in docs/json.md")
    }
    let matrices = try #require(json["matrices"] as? [[String: Any]])
    let plain = try await checkpoint.ember("inspect", "model.q4", "--json")
    let tensors = try #require(try plain.json["tensors"] as? [[String: Any]])
    let expected = tensors.filter {
      ["q4", "q4n", "q5", "q6", "q8"].contains($0["type"] as? String)
    }
    #expect(matrices.map { $0["name"] as? String } == expected.map { $0["name"] as? String })
    #expect(matrices.map { $0["outliers"] as? Int } == expected.map { $0["outliers"] as? Int })
    let histogram = try #require(json["histogram"] as? [[String: Any]])
    let counts = histogram.compactMap { $0["outliers"] as? Int }
    #expect(counts.reduce(0, +) == json["outliers"] as? Int)
    #expect(counts.count == 10 && histogram.last?["to"] is NSNull)
    let text = try await checkpoint.ember("inspect", "model.q4", "--outliers")
    // Which weights are chosen is the quantizer's business, so the text is not compared whole.
    let lines = text.output.split(separator: "\n").map(String.init)
    let total = counts.reduce(0, +)
    #expect(lines[1].hasPrefix("outliers  "), "\(lines)")
    #expect(lines[1].filter(\.isNumber).hasPrefix("\(total)\(expected.count)\(expected.count)"))
    for tensor in expected {
      let (name, type) = (tensor["name"] as? String ?? "", tensor["type"] as? String ?? "")
      let line = try #require(lines.first { $0.hasPrefix(name + " ") })
      let shape = "\(tensor["rows"] ?? "") × \(tensor["columns"] ?? "")"
      #expect(line.contains(" \(type) ") && line.contains(" \(shape) "), "\(line)")
    }
    let bars = try #require(lines.firstIndex { $0.hasPrefix("outliers by |outlier| / (block's") })
    let shown = lines[(bars + 1)...].map { line in
      Int(line.split(separator: "×")[1].prefix { $0 != "#" }.filter(\.isNumber))
    }
    #expect(shown == counts)
    let half = try await checkpoint.ember("inspect", "model.f16", "--outliers")
    #expect(half.status == 0 && half.output.contains("0 in 0 of 0 matrices"), "\(half)")
  }

  @Test("inspect --outliers ends in an error where a column is outside its tensor")
  func damaged() async throws {
    let checkpoint = try await checkpoint()
    var bytes = try checkpoint.bytes(of: "model.q4")
    let file = try ModelFile(opening: FilePath(checkpoint.path("model.q4")))
    let tensor = try #require(file.tensors.last { $0.layout.outlierSteps > 0 })
    let step = tensor.offset + tensor.layout.outlierOffset(rowGroup: 0)
    bytes.replaceSubrange(step..<step + 2, with: [0xFF, 0xFF])
    try checkpoint.write(bytes, to: "damaged.q4")
    let result = try await checkpoint.ember(
      "inspect", "damaged.q4", "--outliers", "--plot", "a.svg")
    #expect(result.isError(65), "\(result)")
    #expect(result.error.contains("column 65535") && result.error.contains(tensor.name))
    #expect(!checkpoint.exists("a.svg"))
  }
}
