import EmberTestSupport
import Foundation
import Testing

/// Checkpoints of every architecture, from the folder to text and perplexity.
@Suite("Architectures, end to end")
struct ArchitectureTests {
  @Test("quantize, run, perplexity", arguments: ArchitectureCheckpoint.all)
  func endToEnd(_ checkpoint: ArchitectureCheckpoint) async throws {
    struct Reference: Decodable { let weights: String }
    let folder = try TestData.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let reference = try JSONDecoder().decode(
      Reference.self, from: Data(contentsOf: checkpoint.source.appending(path: "reference.json")))
    try checkpoint.write(to: folder.appending(path: "model"), weights: reference.weights)
    let text = String(repeating: "The cat sat on the mat, then on the hat. ", count: 20)
    try Data(text.utf8).write(to: folder.appending(path: "text.txt"))

    let converted = try await EmberProcess.run(
      ["quantize", "model", "--bits", "8", "-o", "model.q8"], in: folder)
    #expect(converted.status == 0, "\(converted)")
    let run = try await EmberProcess.run(
      ["run", "model.q8", "--prompt", "The cat", "-n", "12", "--temperature", "0"], in: folder)
    #expect(run.status == 0 && !run.output.isEmpty, "\(run)")
    let scored = try await EmberProcess.run(
      ["perplexity", "model.q8", "--text", "text.txt", "--context", "128", "--json"], in: folder)
    #expect(scored.status == 0, "\(scored)")
    let perplexity = try #require(try scored.json["perplexity"] as? Double)
    // Random weights know nothing of this text, but they are numbers.
    #expect(perplexity > 1 && perplexity < 1e6, "\(perplexity)")
  }
}
