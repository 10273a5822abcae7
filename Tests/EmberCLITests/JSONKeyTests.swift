import EmberTestSupport
import Foundation
import Testing

/// The keys of every `--json` output are a promise: `docs/json.md` lists the same.
@Suite("Keys of --json")
struct JSONKeyTests {
  @Test(
    "are as committed",
    arguments: [
      ["quantize", "model.bin"], ["plan", "model.q4"],
      ["run", "model.q4", "--prompt", "the", "-n", "3"],
      ["perplexity", "model.q4", "--text", "text.txt"],
      ["compare", "model.q8", "model.q4", "--text", "text.txt"], ["inspect", "model.q4"],
      ["bench", "model.q4", "--generate", "2", "--prompt-tokens", "8", "--repetitions", "1"],
      ["verify", "model.q4"], ["tokenize", "model.q4", "--text", "the"],
      ["tokenize", "model.q4", "--text", "the", "--compare", "tokenizer.bin"],
      ["logits", "model.q4", "--tokens", "1,2,3"], ["pack", "model.q4"],
      ["unpack", "model.q4.zst"], ["export", "model.q4", "--format", "gguf"],
    ])
  func keys(_ arguments: [String]) async throws {
    let checkpoint = try TinyCheckpoint()
    try await checkpoint.quantize(bits: 4)
    try await checkpoint.quantize(bits: 8)
    try checkpoint.write(String(repeating: "the note on the hat ", count: 40), to: "text.txt")
    if arguments[0] == "unpack" { _ = try await checkpoint.ember("pack", "model.q4") }
    let result = try await EmberProcess.run(arguments + ["--json"], in: checkpoint.folder)
    #expect(result.status == 0, "\(result.error)")
    #expect(result.error.isEmpty)
    let json = try result.json
    let keys = Set(Self.keys(of: json, prefix: "")).sorted()
    let name = arguments[0] + (arguments.contains("--compare") ? "-compare" : "")
    try Snapshot.expect(keys.joined(separator: "\n") + "\n", equals: "json-\(name)")
    let documentation = try String(
      contentsOfFile: TestData.bundled("docs/json.md"), encoding: .utf8)
    for key in keys {
      #expect(key.allSatisfy { $0.isLowercase || $0.isNumber || "_.[]".contains($0) }, "\(key)")
      let name = key.split(separator: ".").last.map(String.init) ?? key
      #expect(documentation.contains("`\(name)`"), "\(key) is not in docs/json.md")
    }
  }

  /// Paths such as `models[].perplexity`.
  static func keys(of value: Any, prefix: String) -> [String] {
    if let object = value as? [String: Any] {
      return object.flatMap { key, value in
        let path = prefix.isEmpty ? key : "\(prefix).\(key)"
        return [path] + keys(of: value, prefix: path)
      }
    }
    if let array = value as? [Any] {
      return array.flatMap { keys(of: $0, prefix: prefix + "[]") }
    }
    return []
  }
}
