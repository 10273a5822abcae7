import Ember
import EmberEvaluation
import EmberTestSupport
import Foundation
import Synchronization
import Testing

/// The budget is a promise: the process's own peak, as the kernel counts it, stays under it.
@Suite("A memory budget", .serialized)
struct MemoryTests {
  /// About 60 MB of random weights in 12 layers.
  private static let model = LazyModel()

  private static let base = [
    "run", "model.q4", "--prompt", "abcdefgh", "-n", "6", "--temperature", "0", "--ignore-end",
    "--context", "256",
  ]

  private static func number(_ json: [String: Any], _ key: String) throws -> Int {
    try #require((json[key] as? NSNumber)?.intValue, "\(key)")
  }

  @Test("the peak stays under it, and the text does not change")
  func peak() async throws {
    let folder = try Self.model.folder()
    let free = try await EmberProcess.run(Self.base + ["--json"], in: folder).json
    let text = try #require(free["text"] as? String)
    #expect(free["residency"] as? String == "mapped")
    for megabytes in [100, 70, 50] {
      let json = try await EmberProcess.run(
        Self.base + ["--memory", "\(megabytes)M", "--json"], in: folder
      ).json
      #expect(json["text"] as? String == text)
      #expect(try Self.number(json, "memory_budget_bytes") == megabytes * 1_000_000)
      #expect(try Self.number(json, "peak_memory_bytes") <= megabytes * 1_000_000)
      if megabytes < 90 {
        #expect(json["residency"] as? String == "streamed")
        #expect(try Self.number(json, "streamed_bytes_per_token") > 0)
      }
    }
  }

  @Test("also when the context is full, and weights have left the cache's room")
  func fullContext() async throws {
    let folder = try Self.model.folder()
    var arguments = Self.base
    arguments[arguments.firstIndex(of: "6") ?? 0] = "240"
    let free = try await EmberProcess.run(arguments, in: folder).output
    let json = try await EmberProcess.run(
      arguments + ["--memory", "50M", "--no-lookup", "--json"], in: folder
    ).json
    #expect((json["text"] as? String).map { $0 + "\n" } == free)
    #expect(try Self.number(json, "peak_memory_bytes") <= 50_000_000)
    #expect(try Self.number(json, "lent_bytes") == 0)
  }

  @Test("perplexity and compare keep it too")
  func evaluation() async throws {
    let folder = try Self.model.folder()
    let text = String(repeating: "The quick brown fox jumps over the lazy dog. ", count: 30)
    try Data(text.utf8).write(to: folder.appending(path: "text.txt"))
    let options = ["--text", "text.txt", "--context", "256", "--windows", "2", "--json"]
    let mapped = try await EmberProcess.run(["perplexity", "model.q4"] + options, in: folder).json
    let budget = ["--memory", "60M"]
    let json = try await EmberProcess.run(
      ["perplexity", "model.q4"] + options + budget, in: folder
    ).json
    #expect(json["perplexity"] as? Double == mapped["perplexity"] as? Double)
    #expect(try Self.number(json, "peak_memory_bytes") <= 60_000_000)
    let both = try await EmberProcess.run(
      ["compare", "model.q4", "model.q4"] + options + ["--memory", "80M"], in: folder)
    #expect(both.status == 0, "\(both.error)")
  }

  @Test("one that is too small is refused before work begins, with the numbers and the way out")
  func refusal() async throws {
    let folder = try Self.model.folder()
    let result = try await EmberProcess.run(Self.base + ["--memory", "20M"], in: folder)
    #expect(result.isError(75), "\(result.error)")
    #expect(result.error.contains("a budget of 20 MB"))
    #expect(result.error.contains("--memory ") && result.error.contains("--force"))
    let forced = try await EmberProcess.run(
      Self.base + ["--memory", "20M", "--force"], in: folder)
    #expect(forced.status == 0 && !forced.output.isEmpty)
    for size in ["", "0", "-1", "many", "1X", "1e40G"] {
      let wrong = try await EmberProcess.run(Self.base + ["--memory=\(size)"], in: folder)
      #expect(wrong.isError(64), "\(size): \(wrong.error)")
    }
  }

  @Test("a model file that is cut off while its weights stream is an error")
  func cutOff() async throws {
    let folder = try TestData.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let copy = folder.appending(path: "model.q4")
    try FileManager.default.copyItem(
      at: try Self.model.folder().appending(path: "model.q4"), to: copy)
    let result = try await EmberProcess.run(
      [
        "run", "model.q4", "--prompt", "abc", "-n", "250", "--context", "256", "--ignore-end",
        "--memory", "50M",
      ], in: folder,
      whileRunning: { running in
        try await running.wait { running.outputBytes > 0 }
        let handle = try FileHandle(forWritingTo: copy)
        try handle.truncate(atOffset: 1 << 20)
        try handle.close()
      })
    #expect(result.status == 74, "\(result.error)")
    #expect(result.error.contains("model.q4: truncated: "))
    #expect(result.error.contains("while it was in use"))
  }

  #if os(Linux)
    @Test(
      "a disk that becomes slow in the middle of a text makes it late and nothing else",
      .enabled(
        if: ReadLimit.canBeMade, "only root may limit reads, where the kernel can limit them"))
    func slowDisk() async throws {
      let folder = try Self.model.folder()
      let arguments = [
        "run", "model.q4", "--prompt", "abc", "-n", "4", "--context", "256", "--ignore-end",
        "--temperature", "0", "--memory", "50M",
      ]
      let expected = try await EmberProcess.run(arguments, in: folder)
      let limit = try ReadLimit(
        disk: folder.appending(path: "model.q4"), bytesPerSecond: 60_000_000)
      defer { limit.remove() }
      let result = try await EmberProcess.run(
        arguments, in: folder, by: limit.wrapper,
        whileRunning: { running in
          try await running.wait { running.outputBytes > 0 }
          try limit.set(bytesPerSecond: 15_000_000)
        })
      #expect(result.status == 0 && result.output == expected.output, "\(result.error)")
      #expect(!expected.output.isEmpty)
    }

    @Test(
      "inside a control group, auto finds the limit and nobody is killed",
      .enabled(
        if: MemoryGroup.canBeMade, "only root may make control groups, where there are any"))
    func group() async throws {
      let folder = try Self.model.folder()
      let expected = try await EmberProcess.run(Self.base, in: folder).output
      for megabytes in [48, 64, 90, 120] {
        let group = try MemoryGroup(bytes: megabytes << 20)
        defer { group.remove() }
        let result = try await EmberProcess.run(
          Self.base + ["--memory", "auto", "--json"], in: folder, by: group.wrapper)
        #expect(result.status == 0, "\(megabytes): \(result.error)")
        let json = try result.json
        #expect((json["text"] as? String).map { $0 + "\n" } == expected)
        #expect(try Self.number(json, "memory_budget_bytes") <= megabytes << 20)
        #expect(
          try Self.number(json, "peak_memory_bytes") <= Self.number(json, "memory_budget_bytes"))
      }
    }
  #endif
}

/// The model of these tests, written once.
private final class LazyModel: Sendable {
  private let shared = ProcessFolder("memory")
  private let written = Mutex(false)

  func folder() throws -> URL {
    try written.withLock { isWritten in
      if isWritten { return }
      let shape = try SyntheticShape(parsing: "768x12x2304x12x4x4096x512")
      _ = try SyntheticModel(shape: shape, bits: 4).write(
        to: FilePath(shared.url.appending(path: "model.q4").path))
      isWritten = true
    }
    return shared.url
  }
}
