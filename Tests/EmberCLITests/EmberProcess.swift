import EmberTestSupport
import Foundation
import Testing

/// The built `ember`, run as a user runs it.
struct EmberProcess {
  /// What a run left behind.
  struct Result {
    var status: Int32
    var output: String
    var error: String

    /// Whether the run failed as documented: this status, one line on standard error, nothing else.
    func isError(_ expected: Int32) -> Bool {
      status == expected && output.isEmpty && error.hasPrefix("ember: error: ")
        && error.hasSuffix("\n") && error.filter(\.isNewline).count == 1
    }

    /// Standard output as a JSON object.
    var json: [String: Any] {
      get throws {
        try #require(
          JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any], "\(error)")
      }
    }
  }

  /// Runs to the end.
  ///
  /// - Parameters:
  ///   - input: standard input; empty by default.
  ///   - folder: the working folder.
  ///   - wrapper: a program and its arguments, to run `ember` by.
  ///   - environment: variables beside those of the tests.
  ///   - whileRunning: called once the process runs, with what it has printed so far at hand.
  static func run(
    _ arguments: [String], input: String = "", in folder: URL,
    by wrapper: [String] = [], environment: [String: String] = [:],
    whileRunning: (Running) async throws -> Void = { _ in }
  ) async throws -> Result {
    // Files instead of pipes: no amount of output can block the process.
    let scratch = try TestData.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: scratch) }
    func file(_ name: String, _ text: String = "") throws -> URL {
      let url = scratch.appending(path: name)
      try Data(text.utf8).write(to: url)
      return url
    }
    let (output, error) = (try file("output"), try file("error"))
    let process = Process()
    let command = wrapper + [try binary().path] + arguments
    process.executableURL = URL(filePath: command[0])
    process.arguments = Array(command.dropFirst())
    process.currentDirectoryURL = folder
    process.environment = ProcessInfo.processInfo.environment
      .merging(["COLUMNS": "80"]) { $1 }.merging(environment) { $1 }
    process.standardInput = try FileHandle(forReadingFrom: try file("input", input))
    process.standardOutput = try FileHandle(forWritingTo: output)
    process.standardError = try FileHandle(forWritingTo: error)
    let (ends, continuation) = AsyncStream.makeStream(of: Void.self)
    process.terminationHandler = { _ in continuation.finish() }
    try process.run()
    try await whileRunning(Running(process: process, output: output))
    for await _ in ends {}
    return Result(
      status: process.terminationStatus, output: try String(contentsOf: output, encoding: .utf8),
      error: try String(contentsOf: error, encoding: .utf8))
  }

  /// A process that has not ended, as far as is known.
  struct Running {
    let process: Process
    let output: URL

    /// Waits until the condition holds or the process has ended.
    func wait(until condition: () -> Bool) async throws {
      while process.isRunning, !condition() { try await Task.sleep(for: .milliseconds(5)) }
    }

    var outputBytes: Int {
      (try? FileManager.default.attributesOfItem(atPath: output.path)[.size] as? Int) ?? 0
    }

    /// Ctrl-C.
    func interrupt() { process.interrupt() }

    /// Any signal.
    func send(_ signal: Int32) { kill(process.processIdentifier, signal) }
  }

  /// The executable beside the test bundle.
  static func binary() throws -> URL { try BuiltProgram.executable() }
}
