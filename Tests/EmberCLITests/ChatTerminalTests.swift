import EmberTestSupport
import Foundation
import Testing

#if canImport(Darwin)
  import Darwin
#else
  import Glibc
#endif

/// `ember chat` at a terminal: a pseudo-terminal with somebody at the keys.
@Suite("ember chat at a terminal")
struct ChatTerminalTests {
  /// The other side of the program's terminal.
  private final class Terminal {
    let primary: Int32
    let process = Process()
    private(set) var shown = ""

    init(_ arguments: [String], in folder: URL) throws {
      let secondary: Int32
      (primary, secondary) = try Self.openPair()
      let handle = FileHandle(fileDescriptor: secondary, closeOnDealloc: true)
      process.executableURL = try EmberProcess.binary()
      process.arguments = arguments
      process.currentDirectoryURL = folder
      process.environment = ProcessInfo.processInfo.environment.merging(["TERM": "xterm"]) { $1 }
      process.standardInput = handle
      process.standardOutput = handle
      process.standardError = handle
      try process.run()
      _ = fcntl(primary, F_SETFL, O_NONBLOCK)
    }

    private static func openPair() throws -> (primary: Int32, secondary: Int32) {
      #if canImport(Darwin)
        let primary = posix_openpt(O_RDWR | O_NOCTTY)
        try #require(primary >= 0 && grantpt(primary) == 0 && unlockpt(primary) == 0)
        let name = String(cString: try #require(ptsname(primary)))
        let secondary = open(name, O_RDWR | O_NOCTTY)
        try #require(secondary >= 0)
      #else
        // Glibc's module has no posix_openpt.
        var (primary, secondary): (Int32, Int32) = (-1, -1)
        try #require(openpty(&primary, &secondary, nil, nil, nil) == 0)
      #endif
      return (primary, secondary)
    }

    deinit {
      if process.isRunning { process.terminate() }
      close(primary)
    }

    func type(_ keys: String) {
      let bytes = Array(keys.utf8)
      _ = write(primary, bytes, bytes.count)
    }

    private func collect() {
      var bytes = [UInt8](repeating: 0, count: 4096)
      while true {
        let count = read(primary, &bytes, bytes.count)
        if count <= 0 { return }
        shown += String(decoding: bytes[..<count], as: UTF8.self)
      }
    }

    /// Waits until the text has been shown so often, or the program has ended.
    func wait(for text: String, times: Int = 1) async throws {
      while process.isRunning {
        collect()
        if shown.components(separatedBy: text).count > times { return }
        try await Task.sleep(for: .milliseconds(5))
      }
      collect()
      #expect(
        shown.components(separatedBy: text).count > times, "\(text.debugDescription): \(shown)")
    }

    func end() async throws -> Int32 {
      while process.isRunning {
        collect()
        try await Task.sleep(for: .milliseconds(5))
      }
      return process.terminationStatus
    }
  }

  private static let template =
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}<assistant>"

  private func questions(_ checkpoint: TinyCheckpoint) throws -> [String] {
    let data = Data(try checkpoint.bytes(of: "talk.json"))
    let json = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    let messages = try #require(json["messages"] as? [[String: String]])
    return messages.filter { $0["role"] == "user" }.compactMap { $0["content"] }
  }

  @Test("Lines are edited, called back and pasted; Ctrl-C stops an answer and Ctrl-D leaves")
  func keys() async throws {
    let checkpoint = try TinyCheckpoint(contextLength: 1 << 16)
    try await checkpoint.quantize()
    try checkpoint.write(Self.template, to: "chat.jinja")
    let terminal = try Terminal(
      [
        "chat", "model.q4", "--template", "chat.jinja", "-n", "4", "--save", "talk.json",
        "--seed", "1",
      ], in: checkpoint.folder)
    try await terminal.wait(for: "> ")
    // Words cut, the cursor moved, and a character put in between.
    terminal.type("nonsense\u{15}the hatt\u{7F}\u{1B}[D\u{1B}[Dx\u{1B}[H日\u{5}!\r")
    try await terminal.wait(for: "positions used", times: 1)
    // The line before, with more.
    terminal.type("\u{1B}[A?\r")
    try await terminal.wait(for: "positions used", times: 2)
    terminal.type("\u{1B}[200~two\rlines\u{1B}[201~\r")
    try await terminal.wait(for: "positions used", times: 3)
    // Ctrl-C drops the line.
    terminal.type("dropped\u{3}/tokens\r")
    try await terminal.wait(for: "positions used", times: 4)
    terminal.type("\u{4}")
    #expect(try await terminal.end() == 0)
    #expect(try questions(checkpoint) == ["日the hxat!", "日the hxat!?", "two\nlines"])
  }

  @Test("Ctrl-C stops an answer, the conversation goes on, and two at the prompt leave")
  func interruption() async throws {
    let checkpoint = try TinyCheckpoint(contextLength: 1 << 16)
    try await checkpoint.quantize()
    try checkpoint.write(Self.template, to: "chat.jinja")
    let terminal = try Terminal(
      [
        "chat", "model.q4", "--template", "chat.jinja", "-n", "60000", "--save", "talk.json",
        "--stop", "no such text",
      ], in: checkpoint.folder)
    try await terminal.wait(for: "> ")
    terminal.type("the\r")
    try await terminal.wait(for: "the\r\n")
    // The terminal is not the child's own, so the key does not become a signal by itself.
    try await Task.sleep(for: .milliseconds(300))
    terminal.process.interrupt()
    try await terminal.wait(for: "stopped]")
    terminal.type("/tokens\r")
    try await terminal.wait(for: "positions used", times: 2)
    terminal.type("\u{3}")
    try await terminal.wait(for: "Ctrl-C again")
    terminal.type("\u{3}")
    #expect(try await terminal.end() == 0)
    #expect(try questions(checkpoint) == ["the"])
  }
}
