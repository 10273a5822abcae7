import EmberTestSupport
import Foundation
import Testing

@Suite("ember run --session")
struct SessionTests {
  private static let prompt = String(repeating: "the note on the hat ", count: 6)
  private static let options = [
    "--temperature", "0", "-n", "12", "--ignore-end", "--session", "a.session",
  ]

  private func run(
    _ checkpoint: TinyCheckpoint, _ more: String..., model: String = "model.q4",
    prompt: String = prompt
  ) async throws -> EmberProcess.Result {
    try await EmberProcess.run(
      ["run", model, "--prompt", prompt] + Self.options + more, in: checkpoint.folder)
  }

  @Test("The second run restores the prompt and prints the same text")
  func restores() async throws {
    let checkpoint = try TinyCheckpoint()
    try await checkpoint.quantize()
    let plain = try await checkpoint.ember(
      "run", "model.q4", "--prompt", Self.prompt, "--temperature", "0", "-n", "12", "--ignore-end",
      "--json")
    let first = try await run(checkpoint, "--json")
    let second = try await run(checkpoint, "--json")
    #expect(first.status == 0 && second.status == 0, "\(first) \(second)")
    let tokens = try #require(try first.json["prompt_tokens"] as? Int)
    #expect(try plain.json["restored_tokens"] as? Int == 0)
    #expect(try plain.json["session_file_bytes"] is NSNull)
    #expect(try first.json["restored_tokens"] as? Int == 0)
    #expect(try second.json["restored_tokens"] as? Int == tokens - 1)
    let bytes = try checkpoint.bytes(of: "a.session").count
    #expect(try second.json["session_file_bytes"] as? Int == bytes)
    for result in [first, second] {
      #expect(try result.json["ids"] as? [Int] == plain.json["ids"] as? [Int])
    }
    let statistics = try await run(checkpoint)
    #expect(statistics.error.contains("\(tokens - 1) restored from the session file"))
    #expect(try checkpoint.files.filter { $0.contains("session") } == ["a.session"])
    // Another context length, and a prompt that goes on.
    let longer = Self.prompt + "not that one"
    let next = try await run(checkpoint, "--context", "200", "--json", prompt: longer)
    #expect(try #require(next.json["restored_tokens"] as? Int) > tokens - 5, "\(next)")
  }

  @Test("Another model's file, another cache's, or no session file at all: an error, and it stays")
  func errors() async throws {
    let checkpoint = try TinyCheckpoint()
    try await checkpoint.quantize()
    try await checkpoint.quantize(bits: 8)
    #expect(try await run(checkpoint).status == 0)
    let saved = try checkpoint.bytes(of: "a.session")
    let other = try await run(checkpoint, model: "model.q8")
    #expect(other.isError(65), "\(other)")
    #expect(other.error.contains("model.q4") && other.error.contains("model.q8"))
    let cache = try await run(checkpoint, "--cache-bits", "8")
    #expect(cache.isError(65) && cache.error.contains("--cache-bits"), "\(cache)")
    #expect(try checkpoint.bytes(of: "a.session") == saved)
    try checkpoint.write("dear diary", to: "a.session")
    let text = try await run(checkpoint)
    #expect(text.isError(65) && text.error.contains("not an Ember session file"), "\(text)")
    #expect(try checkpoint.bytes(of: "a.session") == Array("dear diary".utf8))
    for (path, words) in [
      (".", "folder"), ("new/", "folder"), ("nowhere/a", "nowhere"), ("model.q4", "--session"),
    ] {
      let result = try await checkpoint.ember(
        "run", "model.q4", "--prompt", "the", "--session", path)
      #expect(result.isError(73) && result.error.contains(words), "\(result)")
    }
  }

  @Test("A disk that is full while saving: the text is there, one line, and the old file stays")
  func diskFull() async throws {
    let checkpoint = try TinyCheckpoint()
    try await checkpoint.quantize()
    #expect(try await run(checkpoint, prompt: "the").status == 0)
    let old = try checkpoint.bytes(of: "a.session")
    let plain = try await checkpoint.ember(
      "run", "model.q4", "--prompt", Self.prompt, "--temperature", "0", "-n", "12", "--ignore-end")
    // 8 KiB in blocks of 512 bytes; the shell's limit is inherited, and is for regular files.
    let result = try await EmberProcess.run(
      ["run", "model.q4", "--prompt", Self.prompt] + Self.options, in: checkpoint.folder,
      by: ["/bin/sh", "-c", "ulimit -f 16; exec \"$0\" \"$@\""])
    #expect(result.status == 74, "\(result)")
    #expect(result.output == plain.output)
    #expect(result.error.hasSuffix("(an earlier file of this name is unharmed)\n"))
    #expect(result.error.components(separatedBy: "ember: error: ").count == 2)
    #expect(try checkpoint.bytes(of: "a.session") == old)
    #expect(try checkpoint.files.filter { $0.contains("session") } == ["a.session"])
  }
}
