import EmberTestSupport
import Foundation
import Testing

#if canImport(Darwin)
  import Darwin
#else
  import Glibc
#endif

/// A pseudo-terminal with `ember` in it, somebody at the keys, and what has been shown.
final class TerminalWindow {
  private let primary: Int32
  private let process: SpawnedProcess
  private var shown: [UInt8] = []
  /// What has been waited for ends here: the same text has to come again.
  private var seen = 0

  init(_ arguments: [String]) throws {
    let (primary, terminal) = try Self.open()
    self.primary = primary
    let environment = ProcessInfo.processInfo.environment.merging(["TERM": "xterm"]) { $1 }
    process = try SpawnedProcess(
      [try EmberProcess.binary().path] + arguments, .terminal(terminal), environment: environment)
  }

  deinit { close(primary) }

  /// The window's side, which no child inherits, and the path of the program's.
  private static func open() throws -> (primary: Int32, terminal: String) {
    #if canImport(Darwin)
      let primary = posix_openpt(O_RDWR | O_NOCTTY)
      try #require(primary >= 0 && grantpt(primary) == 0 && unlockpt(primary) == 0)
      let terminal = String(cString: try #require(ptsname(primary)))
    #else
      // Glibc's module has no posix_openpt.
      var (primary, secondary): (Int32, Int32) = (-1, -1)
      try #require(openpty(&primary, &secondary, nil, nil, nil) == 0)
      let terminal = String(cString: try #require(ttyname(secondary)))
      close(secondary)
    #endif
    _ = fcntl(primary, F_SETFD, FD_CLOEXEC)
    _ = fcntl(primary, F_SETFL, O_NONBLOCK)
    return (primary, terminal)
  }

  func type(_ keys: String) {
    let bytes = Array(keys.utf8)
    _ = write(primary, bytes, bytes.count)
  }

  /// Reads what is there.
  private func collect() {
    var bytes = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = read(primary, &bytes, bytes.count)
      if count <= 0 { return }
      shown += bytes[..<count]
    }
  }

  /// Waits until the text is shown behind what was waited for before, or the program has ended.
  /// Every byte is looked at once: an answer may be long.
  func wait(for text: String) async throws {
    let text = Array(text.utf8)
    while true {
      let isRunning = process.isRunning
      collect()
      while seen + text.count <= shown.count {
        if shown[seen..<seen + text.count].elementsEqual(text) {
          seen += text.count
          return
        }
        seen += 1
      }
      try #require(isRunning, "\(String(decoding: text, as: UTF8.self)): \(ending)")
      try await Task.sleep(for: .milliseconds(5))
    }
  }

  /// Waits until so many more bytes are shown.
  func wait(forBytes count: Int) async throws {
    collect()
    let enough = shown.count + count
    while shown.count < enough {
      try #require(process.isRunning, "\(ending)")
      try await Task.sleep(for: .milliseconds(5))
      collect()
    }
  }

  /// Waits until keys are read, and for the prompt.
  func waitForPrompt() async throws { try await wait(for: "\u{1B}[?2004h") }

  /// The status of the program, when it has ended.
  func end() async throws -> Int32 {
    while process.isRunning {
      collect()
      try await Task.sleep(for: .milliseconds(5))
    }
    return try #require(process.status)
  }

  /// What was shown last.
  var ending: String {
    collect()
    return String(decoding: shown.suffix(2000), as: UTF8.self).debugDescription
  }
}
