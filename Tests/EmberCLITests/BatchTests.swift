import EmberTestSupport
import Foundation
import Testing

/// `ember run --prompts`: many prompts, a line of JSON for each.
@Suite("Many prompts")
struct BatchTests {
  private static let prompts = [
    "the", "no hat", "", "a note on the hat", "then", "one", "eat", "hen on the note",
  ]

  private static func checkpoint(contextLength: Int = 256) async throws -> TinyCheckpoint {
    let checkpoint = try TinyCheckpoint(contextLength: contextLength)
    try await checkpoint.quantize()
    try checkpoint.write(prompts.joined(separator: "\n") + "\n", to: "prompts.txt")
    return checkpoint
  }

  private static func records(_ text: String) throws -> [[String: Any]] {
    try text.split(separator: "\n").map {
      try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
    }
  }

  @Test("Each text is what --prompt gives with the seed of its line")
  func sameTexts() async throws {
    let checkpoint = try await Self.checkpoint()
    let base = ["run", "model.q4", "--prompts", "prompts.txt", "-n", "20", "--seed", "3"]
    let result = try await EmberProcess.run(base, in: checkpoint.folder)
    #expect(result.status == 0, "\(result.error)")
    #expect(result.error.contains("8 of 8") && result.error.contains("tokens/s"))
    let records = try Self.records(result.output)
    #expect(records.map { $0["index"] as? Int } == Array(0..<8))
    for (record, prompt) in zip(records, Self.prompts) {
      let seed = try #require(record["seed"] as? NSNumber)
      let alone = try await EmberProcess.run(
        ["run", "model.q4", "--prompt", prompt, "-n", "20", "--json"]
          + ["--seed", "\(seed.uint64Value)"], in: checkpoint.folder)
      let json = try alone.json
      for key in ["text", "stop_reason"] {
        #expect(record[key] as? String == json[key] as? String, "\(prompt) \(key)")
      }
      for key in ["prompt_tokens", "generated_tokens"] {
        #expect(record[key] as? Int == json[key] as? Int, "\(prompt) \(key)")
      }
    }
    // However many at a time, on however many threads, the bytes are the same.
    for (parallel, threads) in [("1", "1"), ("3", "2"), ("256", "1")] {
      let other = try await EmberProcess.run(
        base + ["--parallel", parallel, "--threads", threads], in: checkpoint.folder)
      #expect(other.output == result.output)
    }
  }

  @Test("The keys of a line are as committed and documented")
  func keys() async throws {
    let checkpoint = try await Self.checkpoint()
    let result = try await checkpoint.ember(
      "run", "model.q4", "--prompts", "prompts.txt", "-n", "2")
    let record = try #require(try Self.records(result.output).first)
    let keys = JSONKeyTests.keys(of: record, prefix: "").sorted()
    try Snapshot.expect(keys.joined(separator: "\n") + "\n", equals: "json-run-prompts")
    let documentation = try String(
      contentsOfFile: TestData.bundled("docs/json.md"), encoding: .utf8)
    for key in keys {
      let name = key.split(separator: ".").last.map(String.init) ?? key
      #expect(documentation.contains("`\(name)`"), "\(key) is not in docs/json.md")
    }
  }

  @Test("JSON lines have ids, which come back; plain text may have Windows' line ends")
  func promptFiles() async throws {
    let checkpoint = try await Self.checkpoint()
    let lines = """
      {"prompt": "the", "id": "first"}

      {"id": 7, "prompt": "no\\nhat", "more": [1]}
      {"prompt": "one"}
      """
    try checkpoint.write(lines, to: "prompts.jsonl")
    try checkpoint.write(lines, to: "brace.txt")
    func run(_ file: String) async throws -> [[String: Any]] {
      let result = try await checkpoint.ember(
        "run", "model.q4", "--prompts", file, "-n", "4", "--seed", "1")
      #expect(result.status == 0, "\(result.error)")
      return try Self.records(result.output)
    }
    for file in ["prompts.jsonl", "brace.txt"] {
      let records = try await run(file)
      #expect(records.map { $0["index"] as? Int } == [0, 1, 2])
      #expect(records[0]["id"] as? String == "first")
      #expect(records[1]["id"] as? Int == 7)
      #expect(records[2]["id"] is NSNull)
    }
    try checkpoint.write("the\r\n\r\none", to: "windows.txt")
    try checkpoint.write("the\n\none\n", to: "unix.txt")
    let windows = try await run("windows.txt").map { $0["prompt_sha256"] as? String }
    let unix = try await run("unix.txt").map { $0["prompt_sha256"] as? String }
    #expect(windows.count == 3 && windows == unix)
    let piped = try await checkpoint.ember(
      "run", "model.q4", "--prompts", "-", "-n", "4", input: "the\nhat")
    #expect(try Self.records(piped.output).count == 2)
  }

  @Test("Files without prompts, or with lines that are none")
  func brokenPromptFiles() async throws {
    let checkpoint = try await Self.checkpoint()
    for (content, words) in [
      ("", "found no line"), ("{\"prompt\": 1}\n", "line 1"), ("{}\n", "line 1"),
      ("{\"prompt\": \"a\"}\nthe\n", "line 2"), ("{\"prompt\": \"a\", \"id\": 1.5}\n", "line 1"),
      ("{\"prompt\": \"a\", \"id\": [1]}\n", "whole number"), ("{\"prompt\"", "line 1"),
    ] {
      try checkpoint.write(content, to: "broken.txt")
      let result = try await checkpoint.ember(
        "run", "model.q4", "--prompts", "broken.txt", "--output", "out.jsonl")
      #expect(result.isError(65) && result.error.contains(words), "\(content): \(result)")
      #expect(!checkpoint.exists("out.jsonl"))
    }
  }

  @Test("A prompt that is too long has an error in its line, and the others go on")
  func promptTooLong() async throws {
    let checkpoint = try await Self.checkpoint()
    try checkpoint.write("the\n" + String(repeating: "z", count: 300) + "\none\n", to: "mixed.txt")
    for _ in 0..<2 {
      // The second time, everything is there already.
      let result = try await checkpoint.ember(
        "run", "model.q4", "--prompts", "mixed.txt", "-n", "5", "--output", "out.jsonl")
      #expect(result.status == 65 && result.error.contains("1 of 3 prompts"), "\(result)")
    }
    let records = try Self.records(
      String(decoding: checkpoint.bytes(of: "out.jsonl"), as: UTF8.self))
    #expect(records.map { $0["text"] is String } == [true, false, true])
    #expect((records[1]["error"] as? String)?.contains("256") ?? false)
    #expect(records[1]["stop_reason"] is NSNull && records[0]["error"] is NSNull)
  }

  // MARK: Interruption

  private static let long = [
    "run", "model.q4", "--prompts", "many.txt", "-n", "600", "--ignore-end", "--parallel", "3",
    "--seed", "11",
  ]

  /// With so many prompts that there is work for long after the first results.
  private static func longCheckpoint() async throws -> TinyCheckpoint {
    let checkpoint = try await checkpoint(contextLength: 1024)
    let many = (0..<40).map { prompts[$0 % prompts.count] + " \($0)\n" }
    try checkpoint.write(many.joined(), to: "many.txt")
    return checkpoint
  }

  @Test(
    "Killed or interrupted in the middle, it goes on to the same bytes",
    arguments: [SIGKILL, SIGINT])
  func resumed(_ signal: Int32) async throws {
    let checkpoint = try await Self.longCheckpoint()
    let whole = try await EmberProcess.run(
      Self.long + ["--output", "whole.jsonl"], in: checkpoint.folder)
    #expect(whole.status == 0 && whole.output.isEmpty, "\(whole.error)")
    let expected = try checkpoint.bytes(of: "whole.jsonl")
    let result = try await EmberProcess.run(
      Self.long + ["--output", "part.jsonl"], in: checkpoint.folder
    ) { running in
      try await running.wait { (try? checkpoint.bytes(of: "part.jsonl").isEmpty) == false }
      running.send(signal)
    }
    let part = try checkpoint.bytes(of: "part.jsonl")
    #expect(part.count < expected.count && expected.starts(with: part))
    if signal == SIGINT {
      #expect(result.status == 130, "\(result.error)")
      #expect(part.last == UInt8(ascii: "\n"))
      #expect(result.error.contains("prompts  ") && result.error.contains("of 40"))
    }
    // As if it had been killed while it wrote a line.
    try checkpoint.write(part + expected[part.count..<part.count + 100], to: "part.jsonl")
    let again = try await EmberProcess.run(
      Self.long + ["--output", "part.jsonl"], in: checkpoint.folder)
    #expect(again.status == 0 && again.error.contains("before"), "\(again.error)")
    #expect(try checkpoint.bytes(of: "part.jsonl") == expected)
    // And once more changes nothing.
    let once = try await EmberProcess.run(
      Self.long + ["--output", "part.jsonl"], in: checkpoint.folder)
    #expect(once.status == 0, "\(once.error)")
    #expect(try checkpoint.bytes(of: "part.jsonl") == expected)
  }

  @Test("Without a file, what is complete is printed, in order")
  func interruptedOutput() async throws {
    let checkpoint = try await Self.longCheckpoint()
    let result = try await EmberProcess.run(Self.long, in: checkpoint.folder) { running in
      try await running.wait { running.outputBytes > 0 }
      running.interrupt()
    }
    #expect(result.status == 130 && result.output.hasSuffix("\n"), "\(result.error)")
    let indices = try Self.records(result.output).map { $0["index"] as? Int }
    #expect(!indices.isEmpty && indices == Array(0..<indices.count))
  }

  @Test("Without --seed, the seed of the results so far is taken")
  func seedOfFile() async throws {
    let checkpoint = try await Self.checkpoint()
    let base = ["run", "model.q4", "--prompts", "prompts.txt", "-n", "9", "--output", "out.jsonl"]
    _ = try await EmberProcess.run(base, in: checkpoint.folder)
    let whole = try checkpoint.bytes(of: "out.jsonl")
    try checkpoint.write(Array(whole.prefix(whole.count / 2)), to: "out.jsonl")
    let again = try await EmberProcess.run(base, in: checkpoint.folder)
    #expect(again.status == 0, "\(again.error)")
    #expect(try checkpoint.bytes(of: "out.jsonl") == whole)
  }

  @Test("A file with other results is refused and stays as it is")
  func foreignOutput() async throws {
    let checkpoint = try await Self.checkpoint()
    let base = ["run", "model.q4", "--prompts", "prompts.txt", "--output", "out.jsonl"]
    let first = try await EmberProcess.run(
      base + ["-n", "3", "--seed", "5"], in: checkpoint.folder)
    #expect(first.status == 0, "\(first.error)")
    let whole = try checkpoint.bytes(of: "out.jsonl")
    func expectRefusal(
      _ arguments: [String], _ words: String, content: [UInt8]? = nil
    ) async throws {
      try checkpoint.write(content ?? whole, to: "out.jsonl")
      let result = try await EmberProcess.run(arguments, in: checkpoint.folder)
      #expect(result.isError(65) && result.error.contains(words), "\(arguments): \(result)")
      #expect(try checkpoint.bytes(of: "out.jsonl") == content ?? whole)
    }
    let same = base + ["-n", "3", "--seed", "5"]
    try await expectRefusal(base + ["-n", "4", "--seed", "5"], "--max-tokens 4, found 3")
    try await expectRefusal(base + ["-n", "3", "--seed", "6"], "--seed 6, found 5")
    try await expectRefusal(same + ["--temperature", "1"], "--temperature 1.0, found 0.8")
    try await expectRefusal(same + ["--context", "100"], "--context 100, found 256")
    try await expectRefusal(same + ["--stop", "x"], "--stop")
    try await expectRefusal(same + ["--cache-bits", "8"], "--cache-bits")
    let lines = whole.split(separator: UInt8(ascii: "\n")).map { Array($0) + [10] }
    try await expectRefusal(same, "line 9", content: whole + lines[0])
    try await expectRefusal(same, "line 1: expected index 0", content: lines[1])
    try await expectRefusal(same, "line 2", content: lines[0] + Array("noise\n".utf8))
    try await expectRefusal(same, "line 1", content: [0, 0, 0, 10])
    try checkpoint.write("the\nother\n", to: "prompts.txt")
    try await expectRefusal(same, "another prompt", content: lines[0] + lines[1])
    try await checkpoint.quantize(bits: 8)
    try await expectRefusal(
      ["run", "model.q8"] + same.dropFirst(2), "the model's content", content: lines[0])
  }

  @Test("Places that cannot be written")
  func unwritable() async throws {
    let checkpoint = try await Self.checkpoint()
    try FileManager.default.createDirectory(
      at: checkpoint.folder.appending(path: "folder"), withIntermediateDirectories: false)
    let prompts = try checkpoint.bytes(of: "prompts.txt")
    for (output, words) in [
      ("folder", "--output"), ("/dev/null", "--output"), ("prompts.txt", "--output"),
      ("model.q4", "--output"), ("nowhere/out.jsonl", "nowhere"),
    ] {
      let result = try await checkpoint.ember(
        "run", "model.q4", "--prompts", "prompts.txt", "--output", output)
      #expect(result.isError(73) && result.error.contains(words), "\(output): \(result)")
    }
    #expect(try checkpoint.bytes(of: "prompts.txt") == prompts)
  }
}
