import Ember
import EmberTestSupport
import Foundation
import Testing

/// `ember export`, as a user runs it.
@Suite("export")
struct ExportTests {
  @Test("there and back, both formats", arguments: ["16", "8", "4"])
  func roundTrip(bits: String) async throws {
    let checkpoint = try TinyCheckpoint()
    let text = String(repeating: "the note on the hat ", count: 40)
    try checkpoint.write(text, to: "text.txt")
    func perplexity(_ model: String) async throws -> Double {
      let result = try await checkpoint.ember("perplexity", model, "--text", "text.txt", "--json")
      return try #require(try result.json["perplexity"] as? Double, "\(result.error)")
    }
    #expect(
      try await checkpoint.ember("quantize", "model.bin", "--bits", bits, "-o", "a").status == 0)
    let expected = try await perplexity("a")
    for (format, output) in [("safetensors", "a-safetensors"), ("gguf", "a.gguf")] {
      let exported = try await checkpoint.ember("export", "a", "--format", format)
      #expect(exported.status == 0 && exported.error.isEmpty, "\(exported)")
      #expect(exported.output.contains(output))
      #expect(exported.output.contains("does not come back") == (bits != "16"))
      let again = try await checkpoint.ember(
        "quantize", output, "--bits", "16", "-o", "b")
      #expect(again.status == 0, "\(again)")
      let found = try await perplexity("b")
      // Beside blocks activations have 8 bits, beside halves 16.
      let tolerance = bits == "16" ? 1e-3 : 0.02
      #expect(abs(found / expected - 1) < tolerance, "\(format): \(found), \(expected)")
    }
  }

  @Test("errors are one line and leave nothing")
  func errors() async throws {
    let checkpoint = try TinyCheckpoint()
    try await checkpoint.quantize(bits: 4)
    let files = try FileManager.default.contentsOfDirectory(atPath: checkpoint.folder.path)
    let missing = try await checkpoint.ember("export", "none", "--format", "gguf")
    #expect(missing.isError(66), "\(missing)")
    let type = try await checkpoint.ember(
      "export", "model.q4", "--format", "safetensors", "--type", "q8_0")
    #expect(type.isError(64), "\(type)")
    let memory = try await checkpoint.ember(
      "export", "model.q4", "--format", "gguf", "--memory", "1M")
    #expect(memory.isError(75), "\(memory)")
    let itself = try await checkpoint.ember(
      "export", "model.q4", "--format", "gguf", "-o", "model.q4")
    #expect(itself.isError(73), "\(itself)")
    #expect(
      Set(try FileManager.default.contentsOfDirectory(atPath: checkpoint.folder.path))
        == Set(files))
  }
}
