import EmberTestSupport
import Foundation
import Testing

/// The ways to choose tokens, as the command has them.
@Suite("Decoding strategies")
struct DecodingTests {
  private static let base = ["run", "model.q4", "--prompt", "the", "-n", "16", "--ignore-end"]

  private static func texts(_ result: EmberProcess.Result) throws -> [[String: Any]] {
    #expect(result.status == 0, "\(result.error)")
    return try #require(try result.json["texts"] as? [[String: Any]])
  }

  @Test("Samples are the texts of their seeds, alone or together, on any number of threads")
  func samples() async throws {
    let checkpoint = try TinyCheckpoint()
    try await checkpoint.quantize()
    func run(_ arguments: String...) async throws -> EmberProcess.Result {
      try await EmberProcess.run(Self.base + arguments, in: checkpoint.folder)
    }
    let result = try await run("--samples", "3", "--seed", "5", "--json")
    let texts = try Self.texts(result)
    #expect(texts.count == 3)
    for text in texts {
      let seed = try #require(text["seed"] as? NSNumber)
      let alone = try await run("--seed", "\(seed.uint64Value)", "--json")
      #expect(try alone.json["text"] as? String == text["text"] as? String)
    }
    let other = try await run("--samples", "3", "--seed", "5", "--threads", "3")
    #expect(other.output.contains("--- 1 of 3, seed "))
    for text in texts { #expect(other.output.contains(try #require(text["text"] as? String))) }
    #expect(other.error.contains("3 sequences at a time"))
  }

  @Test("Beams are printed best first; contrastive search gives one text")
  func searches() async throws {
    let checkpoint = try TinyCheckpoint()
    try await checkpoint.quantize()
    func run(_ arguments: String...) async throws -> EmberProcess.Result {
      try await EmberProcess.run(Self.base + arguments, in: checkpoint.folder)
    }
    let beams = try Self.texts(
      await run(
        "--beams", "4", "--return", "3", "--length-penalty", "0.5", "--early-stopping", "never",
        "--json"))
    let scores = beams.compactMap { $0["score"] as? Double }
    #expect(scores.count == 3 && scores == scores.sorted(by: >))
    let printed = try await run("--beams", "4", "--return", "2")
    #expect(printed.output.hasPrefix("--- 1 of 2, score -"))
    let one = try await run("--beams", "4", "--echo")
    #expect(one.output.hasPrefix("the") && !one.output.contains("---"))
    let contrastive = try await run("--contrastive", "3", "--contrastive-penalty", "0.5", "--json")
    #expect(try Self.texts(contrastive).count == 1)
    let keys = JSONKeyTests.keys(of: try contrastive.json, prefix: "")
    try Snapshot.expect(
      Set(keys).sorted().joined(separator: "\n") + "\n", equals: "json-run-several")
    let documentation = try String(
      contentsOfFile: TestData.bundled("docs/json.md"), encoding: .utf8)
    for key in keys {
      let name = key.split(separator: ".").last.map(String.init) ?? key
      #expect(
        documentation.contains("`\(name.replacing("[]", with: ""))`"), "\(key) is not documented")
    }
  }

  @Test("A grammar and a schema are followed; stop tokens and bias are obeyed")
  func constraints() async throws {
    let checkpoint = try TinyCheckpoint()
    try await checkpoint.quantize()
    try checkpoint.write("root ::= (\"yes\" | \"no\") [.!]{1,3} # or so\n", to: "answer.gbnf")
    try checkpoint.write(
      #"{"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}"#,
      to: "number.json")
    func run(_ arguments: String...) async throws -> EmberProcess.Result {
      try await EmberProcess.run(
        ["run", "model.q4", "--prompt", "the", "--seed", "3", "--json"] + arguments,
        in: checkpoint.folder)
    }
    let answer = try await run("--grammar", "answer.gbnf").json
    let text = try #require(answer["text"] as? String)
    #expect(text.hasPrefix("yes") || text.hasPrefix("no"), "\(text)")
    let number = try await run("--json-schema", "number.json").json
    #expect(
      ["grammar_complete", "end_of_sequence"].contains(number["stop_reason"] as? String ?? ""))
    let json = try #require(number["text"] as? String)
    let object = try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any]
    #expect(object?["n"] is NSNumber)

    let plain = try await run("-n", "12", "--temperature", "0", "--ignore-end").json
    let ids = try #require(plain["ids"] as? [Int])
    let stopped = try await run(
      "-n", "12", "--temperature", "0", "--ignore-end", "--stop-token", "\(ids[3])"
    ).json
    let first = try #require(ids.firstIndex(of: ids[3]))
    #expect(stopped["ids"] as? [Int] == Array(ids[..<first]))
    #expect(stopped["stop_reason"] as? String == "stop_token")
    let biased = try await run(
      "-n", "12", "--temperature", "0", "--ignore-end", "--logit-bias", "\(ids[0])=-inf",
      "--logit-bias", "7=100"
    ).json
    #expect((biased["ids"] as? [Int])?.allSatisfy { $0 == 7 } == true)
  }

  @Test("Every option of sampling repeats with its seed")
  func options() async throws {
    let checkpoint = try TinyCheckpoint()
    try await checkpoint.quantize()
    let defaults = try await EmberProcess.run(
      Self.base + ["--seed", "1", "--json"], in: checkpoint.folder)
    for options in [
      ["--typical-p", "0.5", "--temperature", "2"], ["--mirostat", "3", "--mirostat-rate", "0.2"],
      ["--presence-penalty", "3"], ["--frequency-penalty", "2.5"], ["--no-repeat-ngram", "1"],
      ["--repetition-penalty", "1.9", "--repetition-window", "2"],
    ] {
      let arguments =
        Self.base + ["--seed", "1", "--top-k", "0", "--min-p", "0", "--json"] + options
      let first = try await EmberProcess.run(arguments, in: checkpoint.folder)
      let again = try await EmberProcess.run(
        arguments + ["--threads", "2", "--no-lookup"], in: checkpoint.folder)
      #expect(first.status == 0, "\(first.error)")
      #expect(try first.json["text"] as? String == again.json["text"] as? String, "\(options)")
      #expect(try first.json["text"] as? String != defaults.json["text"] as? String)
    }
  }

  @Test(
    "What cannot be is one line and a documented status",
    arguments: [
      (["--samples", "0"], 64), (["--samples", "257"], 64), (["--beams", "1"], 64),
      (["--return", "2"], 64), (["--beams", "2", "--return", "3"], 64),
      (["--beams", "2", "--contrastive", "2"], 64), (["--beams", "2", "--samples", "2"], 64),
      (["--beams", "2", "--stop", "x"], 64), (["--beams", "2", "--session", "s"], 64),
      (["--early-stopping", "maybe"], 64), (["--beams", "2", "--length-penalty", "nan"], 64),
      (["--contrastive", "4", "--grammar", "ok.gbnf"], 64), (["--contrastive-penalty", "1"], 64),
      (["--typical-p", "0"], 64), (["--mirostat", "0"], 64), (["--mirostat-rate", "0.1"], 64),
      (["--no-repeat-ngram", "-1"], 64), (["--presence-penalty", "x"], 64),
      (["--logit-bias", "7"], 64), (["--logit-bias", "7=nan"], 64),
      (["--logit-bias", "99999=1"], 64), (["--stop-token", "99999"], 64),
      (["--stop-token", "-1"], 64), (["--grammar", "ok.gbnf", "--json-schema", "ok.json"], 64),
      (["--grammar", "missing"], 66), (["--grammar", "bad.gbnf"], 65),
      (["--json-schema", "bad.json"], 69), (["--prompts", "ok.json", "--samples", "2"], 64),
      (["--grammar", "ok.gbnf", "--logit-bias", "124=-inf"], 65),
    ] as [([String], Int32)])
  func errors(options: [String], status: Int32) async throws {
    let checkpoint = try TinyCheckpoint()
    try await checkpoint.quantize()
    try checkpoint.write("root ::= \"y\"", to: "ok.gbnf")
    try checkpoint.write("root ::= root \"y\" | \"z\"", to: "bad.gbnf")
    try checkpoint.write("{}", to: "ok.json")
    try checkpoint.write(#"{"type": "string", "format": "date"}"#, to: "bad.json")
    let prompt = options.contains("--prompts") ? [] : ["--prompt", "the"]
    let result = try await EmberProcess.run(
      ["run", "model.q4", "-n", "4"] + prompt + options, in: checkpoint.folder)
    #expect(result.isError(status), "\(options): \(result)")
  }

  @Test("Results of many prompts go on only with the same way of decoding")
  func batch() async throws {
    let checkpoint = try TinyCheckpoint()
    try await checkpoint.quantize()
    try checkpoint.write("the\nhat\n", to: "prompts.txt")
    let base = [
      "run", "model.q4", "--prompts", "prompts.txt", "-n", "6", "--seed", "1", "--output", "out",
    ]
    let first = try await EmberProcess.run(
      base + ["--presence-penalty", "1.5"], in: checkpoint.folder)
    #expect(first.status == 0, "\(first.error)")
    let other = try await EmberProcess.run(base, in: checkpoint.folder)
    #expect(other.isError(65), "\(other)")
    let same = try await EmberProcess.run(
      base + ["--presence-penalty", "1.5"], in: checkpoint.folder)
    #expect(same.status == 0, "\(same.error)")
  }
}
