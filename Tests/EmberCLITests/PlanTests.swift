import EmberTestSupport
import Foundation
import Testing

/// `ember plan`, and budgets that are kept.
@Suite("Memory budgets")
struct PlanTests {
  private func integer(_ json: [String: Any], _ key: String) throws -> Int {
    try #require(json[key] as? Int, "\(key)")
  }

  @Test("a plan adds up, of a model and of a checkpoint")
  func parts() async throws {
    let checkpoint = try TinyCheckpoint()
    try await checkpoint.quantize(bits: 4)
    for name in ["model.q4", "model.bin"] {
      let result = try await checkpoint.ember("plan", name, "--json", "--memory", "200M")
      #expect(result.status == 0, "\(result.error)")
      let json = try result.json
      #expect(json["fits"] as? Bool == true)
      let parts = [
        "program_bytes", "key_value_cache_bytes", "scratch_bytes", "mapped_bytes", "pinned_bytes",
        "ring_bytes", "expert_bytes",
      ]
      let sum = try parts.reduce(0) { $0 + (try integer(json, $1)) }
      #expect(sum == (try integer(json, "total_bytes")))
      #expect(try integer(json, "total_bytes") <= 200_000_000)
      #expect(try integer(json, "file_bytes") == checkpoint.bytes(of: "model.q4").count)
    }
  }

  @Test("a budget that is too small is planned all the same, and is a failure")
  func refusal() async throws {
    let checkpoint = try TinyCheckpoint()
    try await checkpoint.quantize(bits: 4)
    let result = try await checkpoint.ember("plan", "model.q4", "--memory", "5M", "--no-measure")
    #expect(result.status == 75)
    #expect(result.output.contains("no: needs"))
    #expect(result.error.hasPrefix("ember: error: model.q4: needs "))
    let forced = try await checkpoint.ember(
      "plan", "model.q4", "--memory", "5M", "--no-measure", "--force")
    #expect(forced.status == 0)
  }

  @Test("a run stays below the budget that its plan asks for at least")
  func run() async throws {
    let checkpoint = try TinyCheckpoint()
    try await checkpoint.quantize(bits: 4)
    let plan = try await checkpoint.ember("plan", "model.q4", "--memory", "1G", "--json")
    let needed = try integer(try plan.json, "needed_bytes")
    // Processes differ a little in what they have when they plan.
    let budget = needed + 1_000_000
    let result = try await checkpoint.ember(
      "run", "model.q4", "--prompt", "the", "-n", "200", "--ignore-end", "--memory", "\(budget)",
      "--json")
    #expect(result.status == 0, "\(result.error)")
    #expect(try integer(try result.json, "peak_memory_bytes") <= budget)
  }

  @Test("a conversion stays below its budget, and is refused below its need")
  func conversion() async throws {
    let checkpoint = try TinyCheckpoint()
    let refused = try await checkpoint.ember("quantize", "model.bin", "--memory", "20M")
    #expect(refused.isError(75), "\(refused.error)")
    let words = refused.error.split(separator: " ")
    let place = try #require(words.firstIndex(of: "needs"))
    let needed = try #require(Int(words[place + 1])) * 1_000_000 + 1_000_000
    for recipe in ["fast", "balanced"] {
      let result = try await checkpoint.ember(
        "quantize", "model.bin", "--recipe", recipe, "--memory", "\(needed)", "--json")
      #expect(result.status == 0, "\(result.error)")
      #expect(try integer(try result.json, "peak_memory_bytes") <= needed)
    }
  }
}
