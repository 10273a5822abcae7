import EmberTestSupport
import Foundation
import Testing

/// A mixture of experts from the command line: converted, planned, run in little memory.
@Suite("Mixtures of experts, end to end")
struct ExpertCommandTests {
  private func integer(_ json: [String: Any], _ key: String) throws -> Int {
    try #require((json[key] as? NSNumber)?.intValue, "\(key)")
  }

  @Test("quantize, plan, run --memory", arguments: ExpertCheckpoint.all)
  func pipeline(_ checkpoint: ExpertCheckpoint) async throws {
    let folder = try TestData.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    try checkpoint.write(to: folder.appending(path: "model"))
    func ember(_ arguments: [String]) async throws -> EmberProcess.Result {
      try await EmberProcess.run(arguments, in: folder)
    }
    let made = try await ember(["quantize", "model", "--bits", "8", "--output", "model.q8"])
    #expect(made.status == 0, "\(made.error)")
    let inspected = try await ember(["inspect", "model.q8"])
    #expect(inspected.output.contains(" experts of "))

    let run = [
      "run", "model.q8", "--prompt", "the hat", "-n", "30", "--temperature", "0", "--ignore-end",
      "--json", "--context", "128",
    ]
    let mapped = try await ember(run).json
    #expect(mapped["residency"] as? String == "mapped")
    #expect(mapped["expert_hit_rate"] is NSNull)
    let plan = try await ember(["plan", "model.q8", "--memory", "1M", "--json", "--context", "128"])
    let needed = try integer(try plan.json, "needed_bytes")
    let experts = try integer(try plan.json, "experts")
    let bytesPerToken = try integer(try plan.json, "expert_bytes_per_token")
    #expect(experts > 0 && bytesPerToken > 0)
    // So small a model leaves no room between streaming and fitting but by force.
    let streamed = try await ember(run + ["--memory", "1M", "--force"]).json
    #expect(streamed["residency"] as? String == "streamed")
    #expect(streamed["ids"] as? [Int] == mapped["ids"] as? [Int])
    let slots = try integer(streamed, "expert_slots")
    #expect(slots > 0 && slots < experts)
    let rate = try #require((streamed["expert_hit_rate"] as? NSNumber)?.doubleValue)
    #expect(rate > 0 && rate < 1)
    #expect(try integer(streamed, "peak_memory_bytes") <= needed + 1_000_000)
    let words = try await ember(["plan", "model.q8", "--memory", "1M", "--force", "--no-measure"])
    #expect(words.output.contains("experts ") && words.output.contains(" in memory ("))
  }
}
