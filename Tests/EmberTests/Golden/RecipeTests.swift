import Ember
import EmberTestSupport
import Foundation
import Testing

// The reference data stands beside the project's own checkouts only.
@Suite("Recipes", .enabled(if: TestData.hasShared), .serialized)
struct RecipeTests {
  private static func text(_ name: String, bytes: Int) throws -> String {
    let whole = try String(contentsOfFile: TestData.shared("text/\(name)"), encoding: .utf8)
    return String(decoding: Array(whole.utf8.prefix(bytes)), as: UTF8.self)
  }

  @Test(
    "each loses less than the one before, and all less than plain q4 at the same size",
    arguments: ["novel-llama", "novel-gpt2"])
  func order(name: String) throws {
    let folder = try TestData.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let calibration = try Self.text("calibration.txt", bytes: 100_000)
    func model(_ file: String, _ options: QuantizationOptions) throws -> Model {
      let output = FilePath(folder.appending(path: file).path)
      _ = try Converter(
        checkpoint: FilePath(TestData.shared(name)), output: output, options: options
      ).run()
      return try LoadedModel(opening: output).model
    }
    let models = [
      try model("f16", QuantizationOptions(bits: 16)),
      try model(
        "plain",
        QuantizationOptions(
          bits: 4, tableBits: 6, outliers: .percent(0), recipe: .fast,
          tensorTypes: [
            TensorTypeRule(pattern: "layers.*", type: .q4),
            TensorTypeRule(pattern: "layers.0.*down*", type: .q5),
          ])),
      try model("fast", QuantizationOptions(bits: 4, recipe: .fast)),
      try model("balanced", QuantizationOptions(bits: 4, recipe: .balanced)),
      try model(
        "best",
        QuantizationOptions(bits: 4, recipe: .best, calibration: .text(calibration))),
    ]
    var windows = PerplexityProtocol.papers(context: 512)
    windows.maximumWindows = 12
    let test = try Self.text("test.txt", bytes: 100_000)
    let rows = try ModelComparison(models: models).compare(text: test, protocol: windows).rows
    let losses = try rows.dropFirst().map { try #require($0.divergence).mean }
    #expect(losses[1] < losses[0], "fast, plain q4: \(losses)")
    #expect(losses[2] < losses[1], "balanced, fast: \(losses)")
    #expect(losses[3] < 0.95 * losses[2], "best, balanced: \(losses)")
    // Outliers are the only difference in size.
    let sizes = rows.map(\.fileBytes)
    for size in sizes[2...] { #expect(abs(Double(size) / Double(sizes[1]) - 1) < 0.02, "\(sizes)") }
  }
}
