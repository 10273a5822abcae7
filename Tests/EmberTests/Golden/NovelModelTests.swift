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

  @Test("perplexity at 16 bits within 0.05 %, at 8 bits within 0.3 %", arguments: models)
  func perplexity(name: String) throws {
    let reference = try NovelReference.read(TestData.shared("\(name)/reference.json"))
    let text = TestData.shared("text/test.txt")
    for (key, windows) in [
      ("papers", PerplexityProtocol.novelPapers), ("second_half", .novelSecondHalf),
    ] {
      let expected = try #require(reference.full[key])
      let full = try ConvertedModel.shared(name, bits: 16).perplexity(text, windows)
      #expect(abs(relative(full, to: expected)) < 5e-4, "\(name) \(key): \(full)")
      let eight = try ConvertedModel.shared(name, bits: 8, outliers: .automatic)
        .perplexity(text, windows)
      #expect(abs(relative(eight, to: expected)) < 3e-3, "\(name) \(key): \(eight)")
    }
  }

  // The bounds: round to nearest, absmax scale, blocks of 32, fp32 activations (data README).
  @Test(
    "4 bits: no worse than plain rounding without outliers, better with them",
    arguments: [("novel-llama", 50.5441, 50.7535), ("novel-gpt2", 73.8477, 76.7863)])
  func fourBits(name: String, papers: Double, secondHalf: Double) throws {
    let text = TestData.shared("text/test.txt")
    for (windows, bound) in [
      (PerplexityProtocol.novelPapers, papers), (.novelSecondHalf, secondHalf),
    ] {
      let without = try ConvertedModel.shared(name, bits: 4).perplexity(text, windows)
      #expect(without <= bound, "\(name): \(without)")
      for outliers in [OutlierBudget.automatic, .percent(0.5), .percent(1.6)] {
        let with = try ConvertedModel.shared(name, bits: 4, outliers: outliers)
          .perplexity(text, windows)
        #expect(with < without, "\(name) \(outliers): \(with), without \(without)")
      }
    }
  }

  @Test("emergent weights: 4 bits fall apart without outliers and stay whole by default")
  func emergent() throws {
    let text = TestData.shared("text/test.txt")
    func perplexity(_ name: String, _ bits: Int, _ outliers: OutlierBudget) throws -> Double {
      try ConvertedModel.shared(name, bits: bits, outliers: outliers)
        .perplexity(text, .novelPapers)
    }
    let plain = try perplexity("novel-llama", 4, .automatic)
    let without = try perplexity("novel-llama-emergent", 4, .percent(0))
    #expect(relative(without, to: plain) > 0.3)
    let kept = try perplexity("novel-llama-emergent", 4, .automatic)
    #expect(abs(relative(kept, to: plain)) < 0.01, "\(kept), plain \(plain)")
    let plainEight = try perplexity("novel-llama", 8, .automatic)
    let keptEight = try perplexity("novel-llama-emergent", 8, .automatic)
    #expect(abs(relative(keptEight, to: plainEight)) < 1e-3, "\(keptEight), plain \(plainEight)")
  }

  @Test("feature dimensions: int8 activations do not let them spoil a shared scale")
  func features() throws {
    let text = TestData.shared("text/test.txt")
    for (bits, bound) in [(8, 1e-3), (4, 1e-2)] {
      for outliers in [OutlierBudget.automatic, .percent(0)] {
        let plain = try ConvertedModel.shared("novel-llama", bits: bits, outliers: outliers)
          .perplexity(text, .novelPapers)
        let features = try ConvertedModel.shared(
          "novel-llama-features", bits: bits, outliers: outliers
        ).perplexity(text, .novelPapers)
        #expect(abs(relative(features, to: plain)) < bound, "\(bits) bits: \(features), \(plain)")
      }
    }
  }
}
