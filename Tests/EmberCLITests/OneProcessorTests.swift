import EmberTestSupport
import Foundation
import Testing

/// Threads that share a single processor must neither hang nor change the text.
@Suite("One processor")
struct OneProcessorTests {
  static let taskset = "/usr/bin/taskset"

  @Test(
    "any number of threads gives the same text",
    .enabled(
      if: FileManager.default.isExecutableFile(atPath: taskset),
      "taskset, of Linux's util-linux, binds a process to a processor"),
    .timeLimit(.minutes(5)))
  func threads() async throws {
    // The first processor that this process may use: "0-3,8" is such a list.
    let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
    let line = try #require(
      status.split(separator: "\n").first { $0.hasPrefix("Cpus_allowed_list") })
    let processor = try #require(line.split(whereSeparator: { !$0.isNumber }).first)
    let checkpoint = try TinyCheckpoint()
    try await checkpoint.quantize()
    let base = [
      "run", "model.q4", "--prompt", "the", "-n", "60", "--seed", "7", "--ignore-end",
    ]
    let expected = try await EmberProcess.run(base + ["--threads", "1"], in: checkpoint.folder)
    #expect(expected.status == 0 && !expected.output.isEmpty)
    for count in ["2", "3", "8", "32"] {
      let result = try await EmberProcess.run(
        base + ["--threads", count], in: checkpoint.folder,
        by: [Self.taskset, "-c", String(processor)])
      #expect(result.status == 0, "\(result.error)")
      #expect(result.output == expected.output, "\(count) threads")
    }
  }
}
