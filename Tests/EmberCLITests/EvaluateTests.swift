import EmberTestSupport
import Foundation
import Testing

/// `ember evaluate`, and what `ember perplexity` says of words.
@Suite("Evaluation")
struct EvaluateTests {
  private static let questions = """
    {"ctx": "the note on", "endings": ["the hat", "zzz"], "label": 0}

    {"query": "the", "choices": ["note", "hat", "eat the hat"], "gold": "2"}
    """

  @Test("Accuracies, with keys that are documented")
  func evaluate() async throws {
    let checkpoint = try TinyCheckpoint()
    try await checkpoint.quantize()
    try checkpoint.write(Self.questions, to: "questions.jsonl")
    let base = ["evaluate", "model.q4", "--questions", "questions.jsonl"]
    let result = try await EmberProcess.run(base + ["--json"], in: checkpoint.folder)
    #expect(result.status == 0, "\(result.error)")
    let json = try result.json
    #expect(json["questions"] as? Int == 2)
    #expect((0...1).contains(try #require(json["accuracy"] as? Double)))
    let keys = Set(JSONKeyTests.keys(of: json, prefix: "")).sorted()
    try Snapshot.expect(keys.joined(separator: "\n") + "\n", equals: "json-evaluate")
    let documentation = try String(
      contentsOfFile: TestData.bundled("docs/json.md"), encoding: .utf8)
    for key in keys { #expect(documentation.contains("`\(key)`"), "\(key) is not documented") }
    let text = try await EmberProcess.run(base + ["--limit", "1"], in: checkpoint.folder)
    #expect(text.output.contains("1 question,") && text.output.contains("chance"))
  }

  @Test("Help is as committed")
  func help() async throws {
    let result = try await EmberProcess.run(
      ["evaluate", "--help"], in: FileManager.default.temporaryDirectory)
    try Snapshot.expect(result.output, equals: "help-evaluate")
  }

  @Test("Lines that are no questions are named")
  func errors() async throws {
    let checkpoint = try TinyCheckpoint()
    try await checkpoint.quantize()
    for (text, status, problem) in [
      (Self.questions + "\n{\"ctx\": 3}", 65, "questions.jsonl: line 4: "),
      ("", 65, "no questions"),
      ("{\"ctx\": \"a\", \"endings\": [\"b\", \"c\"], \"label\": 2}", 65, "label of 0 to 1"),
    ] as [(String, Int32, String)] {
      try checkpoint.write(text, to: "questions.jsonl")
      let result = try await checkpoint.ember(
        "evaluate", "model.q4", "--questions", "questions.jsonl")
      #expect(result.isError(status) && result.error.contains(problem), "\(result)")
    }
    let missing = try await checkpoint.ember("evaluate", "model.q4", "--questions", "none")
    #expect(missing.isError(66), "\(missing)")
  }

  @Test("Perplexity per word and bits per byte agree with the perplexity per token")
  func words() async throws {
    let checkpoint = try TinyCheckpoint()
    try await checkpoint.quantize()
    try checkpoint.write(String(repeating: "the note on the hat ", count: 40), to: "text.txt")
    let json = try await checkpoint.ember(
      "perplexity", "model.q4", "--text", "text.txt", "--context", "64", "--json"
    ).json
    func number(_ key: String) throws -> Double { try #require(json[key] as? Double) }
    let nats = try number("mean_negative_log_likelihood") * number("tokens_scored")
    let perWord = exp(try nats / number("words_scored"))
    #expect(abs(try number("word_perplexity") / perWord - 1) < 1e-9)
  }
}
