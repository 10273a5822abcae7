import Foundation

/// The `ember` that was built with the tests.
package enum BuiltProgram {
  package struct Missing: Error, CustomStringConvertible {
    package let description =
      "the executable ember is not beside the tests: run `swift build` with the same options first"
  }

  /// The executable beside the test bundle.
  package static func executable() throws -> URL {
    var folders: [URL] = []
    for argument in CommandLine.arguments + Bundle.allBundles.map(\.bundlePath) {
      var url = URL(filePath: argument)
      // On macOS the executable lies deep inside the bundle.
      while url.pathComponents.count > 1, url.pathExtension != "xctest" {
        url.deleteLastPathComponent()
      }
      if url.pathExtension == "xctest" { folders.append(url.deletingLastPathComponent()) }
    }
    let candidates = folders.map { $0.appending(path: "ember") }
    guard
      let found = candidates.first(where: { FileManager.default.isExecutableFile(atPath: $0.path) })
    else { throw Missing() }
    return found
  }

  /// The most that reading a hostile file may take, as the system counts it. These are bars for
  /// safety: the system ends a program that takes more.
  ///
  /// Seconds of processor time: the documented one is over before the system counts to two.
  private static let secondLimit = 2
  /// Private memory, by 1024 bytes: 100 MB, the program's own few included. (Linux only.)
  private static let kilobyteLimit = 100_000

  /// Runs the program under these limits.
  ///
  /// - Parameters:
  ///   - input: path of what it reads as its standard input.
  ///   - mayEndWell: whether the input may also turn out to be good.
  /// - Returns: what is wrong with how it ended; nil if it was one line of error and a status for
  ///   input that is bad.
  package static func complaint(
    running arguments: [String], input: String = "/dev/null", mayEndWell: Bool = false
  ) throws -> String? {
    let scratch = try TestData.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: scratch) }
    let (output, error) = (scratch.appending(path: "output"), scratch.appending(path: "error"))
    // Not every shell can limit memory on every system; processor time it can.
    let script = "ulimit -d \(kilobyteLimit) 2>/dev/null; ulimit -t \(secondLimit) && exec \"$@\""
    let process = try SpawnedProcess(
      ["/bin/sh", "-c", script, "sh", try executable().path] + arguments,
      .files(input: input, output: output.path, error: error.path),
      environment: ProcessInfo.processInfo.environment)
    let status = process.wait()
    let line = String(decoding: try Data(contentsOf: error), as: UTF8.self)
    let isLine =
      line.hasPrefix("ember: error: ") && line.hasSuffix("\n")
      && line.count(where: \.isNewline) == 1 && line.utf8.count < 4000
    if mayEndWell, status == 0 { return nil }
    // EX_DATAERR and EX_UNAVAILABLE: damaged, and not supported.
    if isLine, status == 65 || status == 69 { return nil }
    return "\(arguments): status \(status ?? -1), \(line.prefix(1000).debugDescription)"
  }
}
