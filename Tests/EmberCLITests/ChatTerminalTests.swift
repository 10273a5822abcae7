import Foundation
import Testing

/// `ember chat` in a terminal. The limit ends a test whose program waits for ever.
@Suite("ember chat at a terminal", .timeLimit(.minutes(10)))
struct ChatTerminalTests {
  private static let template =
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}<assistant>"

  private static func model() async throws -> TinyCheckpoint {
    let checkpoint = try TinyCheckpoint(contextLength: 1 << 16)
    try await checkpoint.quantize()
    try checkpoint.write(template, to: "chat.jinja")
    return checkpoint
  }

  private func chat(_ checkpoint: TinyCheckpoint, _ options: String...) async throws
    -> TerminalWindow
  {
    let window = try TerminalWindow(
      [
        "chat", checkpoint.path("model.q4"), "--template", checkpoint.path("chat.jinja"),
        "--save", checkpoint.path("talk.json"),
      ] + options)
    try await window.waitForPrompt()
    return window
  }

  private func questions(_ checkpoint: TinyCheckpoint, _ name: String = "talk.json") throws
    -> [String]
  {
    let data = Data(try checkpoint.bytes(of: name))
    let json = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    let messages = try #require(json["messages"] as? [[String: String]])
    return messages.filter { $0["role"] == "user" }.compactMap { $0["content"] }
  }

  @Test("Lines are edited, called back and pasted; Ctrl-C drops one and Ctrl-D leaves")
  func keys() async throws {
    let checkpoint = try await Self.model()
    let window = try await chat(checkpoint, "-n", "4", "--seed", "1")
    // Words cut, the cursor moved, and a character put in between.
    window.type("nonsense\u{15}the hatt\u{7F}\u{1B}[D\u{1B}[Dx\u{1B}[H日\u{5}!\r")
    try await window.waitForPrompt()
    // The line before, with more.
    window.type("\u{1B}[A?\r")
    try await window.waitForPrompt()
    window.type("\u{1B}[200~two\rlines\u{1B}[201~\r")
    try await window.waitForPrompt()
    // Two back, one forward, and what was typed before that is still there.
    window.type("and\u{1B}[A\u{1B}[A\u{1B}[B\u{1B}[B so\r")
    try await window.waitForPrompt()
    // Ctrl-C drops the line.
    window.type("dropped\u{3}/tokens\r")
    try await window.wait(for: "positions used")
    try await window.waitForPrompt()
    window.type("\u{4}")
    #expect(try await window.end() == 0, "\(window.ending)")
    #expect(
      try questions(checkpoint) == ["日the hxat!", "日the hxat!?", "two\nlines", "and so"])
  }

  @Test("Ctrl-C stops an answer, the conversation goes on, and two at the prompt leave")
  func interruption() async throws {
    let checkpoint = try await Self.model()
    // What this model has much to say about.
    let window = try await chat(checkpoint, "-n", "60000", "--temperature", "0")
    window.type("a hat\r")
    // The keys are no longer read one by one; so much is more than progress, which may come first.
    try await window.wait(for: "\u{1B}[?2004l")
    try await window.wait(forBytes: 1000)
    window.type("\u{3}")
    try await window.wait(for: "; stopped]")
    try await window.waitForPrompt()
    window.type("/tokens\r")
    try await window.wait(for: "positions used")
    try await window.waitForPrompt()
    window.type("\u{3}")
    try await window.wait(for: "Ctrl-C again")
    window.type("\u{3}")
    #expect(try await window.end() == 0, "\(window.ending)")
    let asked = try questions(checkpoint)
    #expect(asked == ["a hat"])
  }

  @Test("A conversation is saved, forgotten and loaded; its lines can be called back")
  func saving() async throws {
    let checkpoint = try await Self.model()
    let window = try await chat(checkpoint, "-n", "4", "--seed", "1")
    for line in ["the hat\r", "/save \(checkpoint.path("kept.json"))\r", "/reset\r"] {
      window.type(line)
      try await window.waitForPrompt()
    }
    window.type("not that\r")
    try await window.waitForPrompt()
    #expect(try questions(checkpoint) == ["not that"])
    window.type("/load \(checkpoint.path("kept.json"))\r")
    try await window.wait(for: "loaded 2 messages")
    try await window.waitForPrompt()
    // The last line of the conversation that was loaded.
    window.type("\u{1B}[A again\r")
    try await window.waitForPrompt()
    // An error ends nothing.
    window.type("/load \(checkpoint.path("missing.json"))\r")
    try await window.wait(for: "missing.json: ")
    try await window.waitForPrompt()
    window.type("/exit\r")
    #expect(try await window.end() == 0, "\(window.ending)")
    #expect(try questions(checkpoint, "kept.json") == ["the hat"])
    #expect(try questions(checkpoint) == ["the hat", "the hat again"])
  }
}
