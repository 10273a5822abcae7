import EmberTestSupport
import Foundation
import Testing

/// T5, Flan-T5 and a Marian translator from the command line: converted, run, scored.
@Suite("Encoder–decoders from the command line")
struct EncoderDecoderTests {
  private struct Expected: Decodable {
    struct Answer: Decodable {
      let text: String
      let ids: [Int]
      let answer: String
    }
    struct Pair: Codable {
      let source: String
      let target: String
      let tokens: Int
      let lossOfHalves: Double

      enum CodingKeys: String, CodingKey {
        case source, target, tokens
        case lossOfHalves = "loss_of_halves"
      }
    }
    let answers: [Answer]
    let pairs: [Pair]
  }

  private static let root = TestData.repository.appending(
    path: "Tests/fixtures/encoder-decoders")

  private func expected(_ name: String) throws -> Expected {
    try JSONDecoder().decode(
      Expected.self, from: Data(contentsOf: Self.root.appending(path: "\(name)/expected.json")))
  }

  private func quantize(_ name: String, in folder: URL, _ more: String...) async throws {
    let source = Self.root.appending(path: name).path
    let result = try await EmberProcess.run(
      ["quantize", source, "-o", "model"] + more, in: folder)
    #expect(result.status == 0, "\(result.error)")
  }

  @Test("answers and scores as transformers do", arguments: ["t5", "flan-t5", "marian"])
  func runs(_ name: String) async throws {
    let folder = try TestData.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    try await quantize(name, in: folder, "--bits", "16")
    let expected = try expected(name)
    for answer in expected.answers {
      let result = try await EmberProcess.run(
        [
          "run", "model", "--prompt", answer.text, "--temperature", "0", "-n",
          "\(answer.ids.count - 1)", "--json",
        ], in: folder)
      #expect(result.status == 0, "\(result.error)")
      #expect(try result.json["ids"] as? [Int] == Array(answer.ids.dropFirst()))
      let text = try #require(try result.json["text"] as? String)
      #expect(
        text.trimmingCharacters(in: .whitespaces)
          == answer.answer.trimmingCharacters(in: .whitespaces))
    }
    let lines = try expected.pairs.map {
      String(decoding: try JSONEncoder().encode($0), as: UTF8.self)
    }
    try Data(lines.joined(separator: "\n").utf8).write(to: folder.appending(path: "p.jsonl"))
    let columns = expected.pairs.map { "\($0.source)\t\($0.target)\r\n" }
    try Data(columns.joined().utf8).write(to: folder.appending(path: "p.tsv"))
    let tokens = expected.pairs.reduce(0) { $0 + $1.tokens }
    let loss =
      expected.pairs.reduce(0) { $0 + $1.lossOfHalves * Double($1.tokens) } / Double(tokens)
    for file in ["p.jsonl", "p.tsv"] {
      let result = try await EmberProcess.run(
        ["perplexity", "model", "--pairs", file, "--json"], in: folder)
      #expect(result.status == 0, "\(result.error)")
      let found = try #require(try result.json["mean_negative_log_likelihood"] as? Double)
      // 0.02 % of the perplexity.
      #expect(abs(found - loss) < 2e-4, "\(found - loss)")
      #expect(try result.json["tokens_scored"] as? Int == tokens)
    }
  }

  @Test("4 bits, a small memory, and everything else that there is", arguments: ["t5", "marian"])
  func others(_ name: String) async throws {
    let folder = try TestData.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    try await quantize(name, in: folder)
    for arguments in [
      ["run", "model", "--prompt", "it was", "-n", "5", "--memory", "60M"],
      ["run", "model", "--prompt", "it was", "-n", "5", "--seed", "1", "--cache-bits", "8"],
      ["run", "model", "--prompt", "it was", "-n", "5", "--no-lookup", "--threads", "1"],
      ["inspect", "model"], ["plan", "model"], ["verify", "model"],
      ["tokenize", "model", "--text", "it was"], ["pack", "model"],
    ] {
      let result = try await EmberProcess.run(arguments, in: folder)
      #expect(result.status == 0, "\(arguments): \(result.error)")
    }
    try Data("it was\n".utf8).write(to: folder.appending(path: "text.txt"))
    for (arguments, status) in [
      (["perplexity", "model", "--text", "text.txt"], Int32(65)),
      (["perplexity", "model", "--pairs", "text.txt"], 65),
      (["perplexity", "model"], 64),
      (["compare", "model", "model", "--text", "text.txt"], 65),
      (["chat", "model"], 64),
      (["export", "model", "--format", "gguf", "--output", "x.gguf"], 69),
      (["export", "model", "--format", "safetensors", "--output", "x"], 69),
      (["logits", "model", "--tokens", "1,2"], 65),
      (["run", "model", "--prompts", "text.txt"], 64),
      (["run", "model", "--prompt", "it was", "--session", "s"], 64),
      (["run", "model", "--prompt", "it was", "--draft", "model"], 64),
      (["run", "model", "--prompt", "it was", "--memory", "1M"], 75),
      (["bench", "model"], 65),
    ] {
      let result = try await EmberProcess.run(arguments, in: folder)
      #expect(result.isError(status), "\(arguments): \(result.status) \(result.error)")
    }
    let source = Self.root.appending(path: name).path
    for options in [["--recipe", "best", "--calibrate", "text.txt"], ["--target-bits", "6"]] {
      let result = try await EmberProcess.run(
        ["quantize", source, "-o", "other"] + options, in: folder)
      #expect(result.isError(69), "\(options): \(result.status) \(result.error)")
    }
  }
}
