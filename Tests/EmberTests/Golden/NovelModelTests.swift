import Ember
import EmberTestSupport
import Foundation
import Testing

// The reference data stands beside the project's own checkouts only.
@Suite("Novel models against transformers", .enabled(if: TestData.hasShared), .serialized)
struct NovelModelTests {
  static let models = ["novel-llama", "novel-gpt2", "novel-llama-emergent", "novel-llama-features"]

  @Test("logits, their order and greedy text at 16 bits", arguments: models)
  func logits(name: String) throws {
    let reference = try NovelReference.read(TestData.shared("\(name)/reference.json"))
    let converted = try ConvertedModel.shared(name, bits: 16)
    for prompt in reference.prompts { try converted.expectAgreement(with: prompt) }
  }

  private static func perplexity(
    _ name: String, _ bits: Int, _ outliers: OutlierBudget, folding: Bool = true
  ) throws -> (papers: Double, secondHalf: Double) {
    try ConvertedModel.shared(name, bits: bits, outliers: outliers, folding: folding)
      .novelPerplexity()
  }

  @Test("perplexity at 16 bits within 0.05 %, at 8 bits within 0.3 %", arguments: models)
  func perplexity(name: String) throws {
    let reference = try NovelReference.read(TestData.shared("\(name)/reference.json"))
    let papers = try #require(reference.full["papers"])
    let secondHalf = try #require(reference.full["second_half"])
    for (bits, outliers, bound) in [
      (16, OutlierBudget.percent(0), 5e-4), (8, .automatic, 3e-3),
    ] {
      let got = try Self.perplexity(name, bits, outliers)
      #expect(abs(relative(got.papers, to: papers)) < bound, "\(bits) bits: \(got)")
      #expect(abs(relative(got.secondHalf, to: secondHalf)) < bound, "\(bits) bits: \(got)")
    }
  }

  @Test("llama.cpp's preset scores what the reference calls the second half")
  func preset() throws {
    var windows = PerplexityProtocol.llamaCpp()
    windows.maximumWindows = 8
    let model = try ConvertedModel.shared("novel-llama", bits: 4)
    var first = PerplexityProtocol.papers(context: 512)
    first.maximumWindows = 8
    let text = try String(contentsOfFile: TestData.shared("text/test.txt"), encoding: .utf8)
    let all = try PerplexityEvaluator(model: model.model, tokenizer: model.tokenizer)
      .evaluate(text: text, protocol: first).negativeLogLikelihoods
    let half = try PerplexityEvaluator(model: model.model, tokenizer: model.tokenizer)
      .evaluate(text: text, protocol: windows).negativeLogLikelihoods
    #expect(half == all.indices.filter { $0 % 511 >= 255 }.map { all[$0] })
  }

  // The bounds: round to nearest, absmax scale, blocks of 32, fp32 activations (data README).
  // These models have no weights that are worth an outlier's bytes, so auto takes none or few.
  @Test(
    "4 bits: no worse than plain rounding without outliers, better with them",
    arguments: [("novel-llama", 50.5441, 50.7535), ("novel-gpt2", 73.8477, 76.7863)])
  func fourBits(name: String, papers: Double, secondHalf: Double) throws {
    let without = try Self.perplexity(name, 4, .percent(0))
    #expect(without.papers <= papers && without.secondHalf <= secondHalf, "\(without)")
    let automatic = try Self.perplexity(name, 4, .automatic)
    #expect(automatic.papers <= without.papers, "\(automatic), without \(without)")
    #expect(automatic.secondHalf <= without.secondHalf, "\(automatic), without \(without)")
    for outliers in [OutlierBudget.percent(0.5), .percent(1.6)] {
      let with = try Self.perplexity(name, 4, outliers)
      #expect(with.papers < without.papers, "\(outliers): \(with), without \(without)")
      #expect(with.secondHalf < without.secondHalf, "\(outliers): \(with), without \(without)")
    }
  }

  // Blocks of 32 fell apart without outliers, by more than 30 %; groups of 16, with errors weighed
  // by the inputs, lose 2 %.
  @Test("emergent weights: folding makes them harmless, and so do outliers without it")
  func emergent() throws {
    let plain = try Self.perplexity("novel-llama", 4, .automatic).papers
    let without = try Self.perplexity(
      "novel-llama-emergent", 4, .percent(0), folding: false
    ).papers
    #expect(relative(without, to: plain) > 0.01)
    let kept = try Self.perplexity("novel-llama-emergent", 4, .automatic, folding: false).papers
    #expect(abs(relative(kept, to: plain)) < 0.01, "\(kept), plain \(plain)")
    let folded = try Self.perplexity("novel-llama-emergent", 4, .percent(0)).papers
    #expect(abs(relative(folded, to: plain)) < 3e-3, "\(folded), plain \(plain)")
    let plainEight = try Self.perplexity("novel-llama", 8, .automatic).papers
    let foldedEight = try Self.perplexity("novel-llama-emergent", 8, .automatic).papers
    #expect(abs(relative(foldedEight, to: plainEight)) < 1e-3, "\(foldedEight), \(plainEight)")
  }

  @Test("feature dimensions: int8 activations do not let them spoil a shared scale")
  func features() throws {
    // Not folded and without outliers, 4 bits lose 3.4 %: the weights that read such dimensions are
    // tiny, and q4n's uneven grid has no level at zero (with q4 for the layers it is 0.6 %).
    for (bits, outliers, folding, bound) in [
      (8, OutlierBudget.automatic, false, 1e-3), (8, .percent(0), false, 1e-3),
      (4, .automatic, false, 3e-3), (4, .percent(0), false, 0.05), (4, .percent(0), true, 3e-3),
    ] {
      let plain = try Self.perplexity("novel-llama", bits, outliers).papers
      let features = try Self.perplexity(
        "novel-llama-features", bits, outliers, folding: folding
      ).papers
      #expect(abs(relative(features, to: plain)) < bound, "\(bits) bits: \(features), \(plain)")
    }
  }
}
