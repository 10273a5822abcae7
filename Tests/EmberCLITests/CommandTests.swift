import Ember
import EmberTestSupport
import Foundation
import Testing

/// What the commands promise beyond not failing.
@Suite("Commands")
struct CommandTests {
  private func text(_ result: EmberProcess.Result) throws -> String {
    try #require(try result.json["text"] as? String)
  }

  @Test("The same seed gives the same text, whatever the threads; the printed seed does too")
  func seeds() async throws {
    let checkpoint = try TinyCheckpoint()
    try await checkpoint.quantize()
    let base = ["run", "model.q4", "--prompt", "the", "-n", "60", "--ignore-end"]
    func run(_ arguments: String...) async throws -> EmberProcess.Result {
      try await EmberProcess.run(base + arguments, in: checkpoint.folder)
    }
    let first = try await run("--seed", "7", "--json")
    let expected = try text(first)
    for threads in ["1", "2", "3", "7"] {
      let other = try await run("--seed", "7", "--threads", threads, "--json")
      #expect(try text(other) == expected, "\(threads) threads")
    }
    #expect(try text(try await run("--seed", "8", "--json")) != expected)
    let chosen = try await run("--json")
    let seed = try #require(try chosen.json["seed"] as? UInt64)
    #expect(try text(try await run("--seed", "\(seed)", "--json")) == text(chosen))
    // Streamed text is the text of the JSON, and the seed is on standard error.
    let streamed = try await run("--seed", "7")
    #expect(streamed.output == expected || streamed.output == expected + "\n")
    #expect(streamed.error.contains("seed     7\n"))
  }

  @Test("Guessing ahead, by look-up or with a draft model, leaves the text as it is")
  func speculation() async throws {
    let checkpoint = try TinyCheckpoint()
    try await checkpoint.quantize()
    try await checkpoint.quantize(bits: 8)
    let prompt = "the note on the hat, the note on the hat, the note on"
    for sampling in [["--temperature", "0"], ["--seed", "5"]] {
      let base = ["run", "model.q8", "--prompt", prompt, "-n", "100", "--ignore-end", "--json"]
      func run(_ arguments: String...) async throws -> EmberProcess.Result {
        try await EmberProcess.run(base + sampling + arguments, in: checkpoint.folder)
      }
      let plain = try await run("--no-lookup")
      #expect(try plain.json["drafted_tokens"] as? Int == 0)
      #expect(try plain.json["tokens_per_pass"] as? Double == 1)
      for other in [
        try await run(), try await run("--draft", "model.q4"),
        try await run("--draft", "model.q8", "--no-lookup", "--draft-tokens", "3"),
      ] {
        #expect(other.status == 0, "\(other.error)")
        #expect(try text(other) == text(plain))
      }
    }
    let none = try await checkpoint.ember("run", "model.q8", "--draft-tokens", "128")
    #expect(none.status == 64)
  }

  @Test("A draft model with another tokenizer is an error")
  func otherDraft() async throws {
    let checkpoint = try TinyCheckpoint()
    try await checkpoint.quantize()
    let tokenizer = try checkpoint.bytes(of: "tokenizer.bin")
    // The last piece, " the", becomes " thy".
    try checkpoint.write(tokenizer.dropLast() + [UInt8(ascii: "y")], to: "tokenizer.bin")
    try await checkpoint.quantize(bits: 8)
    let result = try await checkpoint.ember(
      "run", "model.q4", "--prompt", "the", "--draft", "model.q8")
    #expect(result.isError(65), "\(result)")
    #expect(result.error.contains("model.q8: the tokenizer is not that of model.q4"))
  }

  @Test("The prompt comes from the option, a file or standard input; --echo prints it")
  func prompts() async throws {
    let checkpoint = try TinyCheckpoint()
    try await checkpoint.quantize()
    try checkpoint.write("the hat\n", to: "prompt.txt")
    let base = ["run", "model.q4", "-n", "20", "--temperature", "0", "--ignore-end", "--json"]
    func run(_ arguments: String..., input: String = "") async throws -> String {
      try text(
        try await EmberProcess.run(base + arguments, input: input, in: checkpoint.folder))
    }
    let expected = try await run("--prompt", "the hat")
    #expect(try await run(input: "the hat") == expected)
    #expect(try await run(input: "the hat\n") == expected)
    #expect(try await run("--prompt-file", "prompt.txt") == expected)
    #expect(try await run("--prompt", "the hat", "--echo") == "the hat" + expected)
    let other = try await run("--prompt", "another")
    #expect(other != expected)
  }

  @Test("The text ends at the tokens asked for and when the context is full")
  func ends() async throws {
    let checkpoint = try TinyCheckpoint(contextLength: 32)
    try await checkpoint.quantize()
    let none = try await checkpoint.ember("run", "model.q4", "--prompt", "the", "-n", "0", "--json")
    #expect(try none.json["generated_tokens"] as? Int == 0)
    let full = try await checkpoint.ember(
      "run", "model.q4", "--prompt", "the", "--ignore-end", "--json")
    #expect(full.status == 0)
    #expect(try full.json["stop_reason"] as? String == "context_full")
  }

  @Test("Conversions name their output after the precision and repeat byte for byte")
  func quantize() async throws {
    let checkpoint = try TinyCheckpoint()
    for (bits, name) in [(4, "model.q4"), (8, "model.q8"), (16, "model.f16")] {
      try await checkpoint.quantize(bits: bits)
      let first = try checkpoint.bytes(of: name)
      let again = try await checkpoint.ember(
        "quantize", "model.bin", "--bits", "\(bits)", "--threads", "3", "-o", "again")
      #expect(again.status == 0)
      #expect(try checkpoint.bytes(of: "again") == first)
    }
    // Nothing else is left behind.
    #expect(
      try checkpoint.files
        == ["again", "model.bin", "model.f16", "model.q4", "model.q8", "tokenizer.bin"])
  }

  @Test("Greedy text begins with the largest logit")
  func logits() async throws {
    let checkpoint = try TinyCheckpoint()
    try await checkpoint.quantize()
    let run = try await checkpoint.ember(
      "run", "model.q4", "--prompt", "the", "-n", "1", "--temperature", "0", "--ignore-end",
      "--json")
    let top = try await checkpoint.ember("logits", "model.q4", "--prompt", "the", "--json")
    let positions = try #require(try top.json["positions"] as? [[String: Any]])
    let logits = try #require(positions.last?["logits"] as? [[String: Any]])
    #expect(logits.count == 10)
    let tokens = try #require(try run.json["ids"] as? [Int])
    #expect(logits.first?["id"] as? Int == tokens.first)
    let all = try await checkpoint.ember(
      "logits", "model.q4", "--tokens", "1,259,5", "--all", "--top", "0", "--json")
    let every = try #require(try all.json["positions"] as? [[String: Any]])
    #expect(every.count == 3)
    for position in every {
      let values = try #require(position["logits"] as? [[String: Any]])
      #expect(values.count == TinyCheckpoint.vocabularySize)
    }
  }

  @Test("tokenize prints ids that logits takes")
  func tokenize() async throws {
    let checkpoint = try TinyCheckpoint()
    try await checkpoint.quantize()
    let ids = try await checkpoint.ember("tokenize", "model.q4", "--ids-only", input: "the ä")
    #expect(ids.status == 0)
    let list = ids.output.split(whereSeparator: \.isWhitespace).joined(separator: ",")
    let byText = try await checkpoint.ember("logits", "model.q4", "--prompt", "the ä")
    let byIds = try await checkpoint.ember("logits", "model.q4", "--tokens", list)
    #expect(byText.status == 0 && byText.output == byIds.output)
  }

  @Test("A model compared with itself loses nothing")
  func compareWithItself() async throws {
    let checkpoint = try TinyCheckpoint()
    try await checkpoint.quantize()
    try checkpoint.write(String(repeating: "the note on the hat ", count: 40), to: "text.txt")
    let result = try await checkpoint.ember(
      "compare", "model.q4", "model.q4", "--text", "text.txt", "--context", "64", "--json")
    let models = try #require(try result.json["models"] as? [[String: Any]])
    #expect(models.count == 2)
    #expect(models[1]["kl_divergence_max"] as? Double == 0)
    #expect(models[1]["perplexity_change_percent"] as? Double == 0)
    #expect(models[0]["perplexity"] as? Double == models[1]["perplexity"] as? Double)
    let alone = try await checkpoint.ember(
      "perplexity", "model.q4", "--text", "text.txt", "--context", "64", "--threads", "3", "--json")
    #expect(try alone.json["perplexity"] as? Double == models[0]["perplexity"] as? Double)
  }

  @Test("One model is compared with itself under several caches")
  func compareCaches() async throws {
    let checkpoint = try TinyCheckpoint()
    try await checkpoint.quantize()
    try checkpoint.write(String(repeating: "the note on the hat ", count: 40), to: "text.txt")
    let compare = ["compare", "model.q4", "--text", "text.txt", "--context", "64", "--cache-bits"]
    let result = try await EmberProcess.run(
      compare + ["16,8,8/4,4", "--json"], in: checkpoint.folder)
    #expect(try result.json["cache_bits"] is NSNull)
    let models = try #require(try result.json["models"] as? [[String: Any]])
    #expect(models.compactMap { $0["cache_key_bits"] as? Int } == [16, 8, 8, 4])
    #expect(models.compactMap { $0["cache_value_bits"] as? Int } == [16, 8, 4, 4])
    let table = try await EmberProcess.run(compare + ["16,8/4"], in: checkpoint.folder)
    #expect(table.status == 0 && table.output.contains("8/4") && !table.output.contains("Take"))
    for list in ["16", "16,16", "16,", "16,7", "4/8", ""] {
      let refused = try await EmberProcess.run(compare + [list], in: checkpoint.folder)
      #expect(refused.status == 64, "\(list)")
    }
    let run = try await checkpoint.ember(
      "run", "model.q4", "--prompt", "the", "--max-tokens", "4", "--cache-bits", "8/4", "--json")
    #expect(try run.json["cache_bits"] as? Int == 6)
    #expect(try run.json["cache_key_bits"] as? Int == 8)
    #expect(try run.json["cache_value_bits"] as? Int == 4)
  }

  @Test("inspect lists every tensor")
  func inspect() async throws {
    let checkpoint = try TinyCheckpoint()
    try await checkpoint.quantize()
    let result = try await checkpoint.ember("inspect", "model.q4")
    #expect(result.status == 0)
    for name in ["embedding", "layers.0.attention.query.weight", "layers.1.feed_forward.up.weight"]
    {
      #expect(result.output.contains(name))
    }
  }

  @Test("A protocol has a preset's name only where it is that preset")
  func protocolNames() async throws {
    let checkpoint = try TinyCheckpoint(contextLength: 1024)
    try await checkpoint.quantize()
    try checkpoint.write(String(repeating: "z", count: 2000), to: "text.txt")
    for (options, name) in [
      ([], "papers"), (["--context", "100"], "papers"), (["--bos"], "custom"),
      (["--stride", "100"], "custom"), (["--preset", "llama.cpp"], "llama.cpp"),
      (["--preset", "llama.cpp", "--context", "100"], "custom"),
      (["--preset", "llama.cpp", "--windows", "1"], "llama.cpp"),
    ] {
      let result = try await EmberProcess.run(
        ["perplexity", "model.q4", "--text", "text.txt", "--json"] + options,
        in: checkpoint.folder)
      #expect(try result.json["protocol"] as? String == name, "\(options): \(result)")
    }
  }

  @Test("Logits of all positions are one JSON object, those of the last position among them")
  func allLogits() async throws {
    let checkpoint = try TinyCheckpoint()
    try await checkpoint.quantize()
    let base = ["logits", "model.q4", "--tokens", "1,5,9,260", "--top", "0", "--json"]
    let all = try await EmberProcess.run(base + ["--all"], in: checkpoint.folder)
    let last = try await EmberProcess.run(base, in: checkpoint.folder)
    let positions = try #require(try all.json["positions"] as? [[String: Any]])
    #expect(positions.count == 4)
    #expect(positions.map { $0["position"] as? Int } == [0, 1, 2, 3])
    #expect(positions.allSatisfy { ($0["logits"] as? [Any])?.count == 270 })
    let expected = try #require((try last.json["positions"] as? [[String: Any]])?.last)
    #expect(expected["id"] as? Int == 260)
    #expect((expected["logits"] as? [Any])?.count == 270)
  }

  @Test("Logits that are not finite are an error, not a result")
  func notFiniteLogits() async throws {
    let checkpoint = try TinyCheckpoint()
    try await checkpoint.quantize(bits: 16)
    let file = try ModelFile(opening: FilePath(checkpoint.path("model.f16")))
    var bytes = try checkpoint.bytes(of: "model.f16")
    for tensor in file.tensors where tensor.name.hasSuffix("feed_forward.up.weight") {
      for byte in tensor.offset..<tensor.offset + tensor.byteCount { bytes[byte] = 0x7E }
    }
    try checkpoint.write(bytes, to: "broken.f16")
    for option in [[], ["--json"]] {
      let result = try await EmberProcess.run(
        ["logits", "broken.f16", "--tokens", "5"] + option, in: checkpoint.folder)
      #expect(result.isError(65), "\(result)")
    }
  }
}
