import Ember
import EmberTestSupport
import Foundation
import Testing

/// From text to text: tokenizers, answers, perplexity of targets.
@Suite("Encoder–decoders with text", .serialized)
struct EncoderDecoderTextTests {
  @Test(
    "sources and targets become the ids of transformers", arguments: EncoderDecoderFixture.names)
  func tokens(_ name: String) throws {
    let fixture = try EncoderDecoderFixture(name)
    let loaded = try fixture.converted()
    for text in fixture.expected.texts {
      #expect(loaded.tokenizer.sourceTokens(text.text) == text.ids, "\(text.text)")
    }
    #expect((loaded.targetTokenizer != nil) == (name == "marian"))
    for text in fixture.expected.targets ?? [] {
      #expect((loaded.targetTokenizer ?? loaded.tokenizer).targetTokens(text.text) == text.ids)
    }
  }

  @Test("answers are those of transformers", arguments: EncoderDecoderFixture.names)
  func answers(_ name: String) throws {
    let fixture = try EncoderDecoderFixture(name)
    let generator = try fixture.converted().generator()
    for answer in fixture.expected.answers {
      var streamed = ""
      let result = try generator.generate(
        prompt: answer.text,
        options: .init(maximumTokens: answer.ids.count - 1, sampling: .greedy)
      ) { streamed += $0 }
      #expect([answer.ids[0]] + result.ids == answer.ids)
      #expect(result.text.trimmed == answer.answer.trimmed)
      #expect(streamed == result.text)
      let source = try #require(fixture.expected.texts.first { $0.text == answer.text })
      #expect(result.promptTokens == source.ids.count)
    }
  }

  @Test("beams are those of transformers", arguments: EncoderDecoderFixture.names)
  func beams(_ name: String) throws {
    let fixture = try EncoderDecoderFixture(name)
    let loaded = try fixture.converted()
    let generator = BeamGenerator(
      model: loaded.model, tokenizer: loaded.tokenizer,
      session: try ParallelSession(model: loaded.model, sequences: 3))
    for answer in fixture.expected.answers {
      let texts = try generator.generate(
        prompt: answer.text, search: BeamSearchOptions(beams: 3),
        options: .init(maximumTokens: answer.beams.count - 1, sampling: .greedy))
      #expect(texts.first.map { [answer.ids[0]] + $0.ids } == answer.beams, "\(answer.text)")
    }
  }

  @Test("samples are what single texts are", arguments: EncoderDecoderFixture.names)
  func samples(_ name: String) throws {
    let fixture = try EncoderDecoderFixture(name)
    let loaded = try fixture.converted(bits: 8)
    let options = TextGenerator.Options(maximumTokens: 12, sampling: .plain, seed: 5)
    let parallel = ParallelGenerator(
      model: loaded.model, tokenizer: loaded.tokenizer,
      session: try ParallelSession(model: loaded.model, sequences: 4))
    let generator = try loaded.generator()
    for result in try parallel.samples(prompt: "it was", count: 4, options: options) {
      var single = options
      single.seed = result.seed
      let expected = try generator.generate(prompt: "it was", options: single) { _ in }
      #expect(try result.text.get().promptTokens == expected.promptTokens)
      #expect(try result.text.get().ids == expected.ids)
    }
  }

  @Test("guessing ahead changes nothing", arguments: EncoderDecoderFixture.names)
  func lookup(_ name: String) throws {
    let fixture = try EncoderDecoderFixture(name)
    let loaded = try fixture.converted(bits: 4)
    func text(_ speculation: Speculation?) throws -> [Int32] {
      let generator = TextGenerator(
        model: loaded.model, tokenizer: loaded.tokenizer,
        session: try InferenceSession(model: loaded.model), speculation: speculation)
      let options = TextGenerator.Options(maximumTokens: 40, seed: 3, stopsAtEndOfSequence: false)
      return try generator.generate(prompt: "it was not in the other", options: options) { _ in }
        .ids
    }
    #expect(try text(Speculation(usesLookup: true, draftModel: nil, maximumDraft: 16)) == text(nil))
  }

  /// Nats, so 0.02 % of a perplexity.
  private static let tolerance = 2e-4

  @Test("targets cost what they cost transformers", arguments: EncoderDecoderFixture.names)
  func perplexity(_ name: String) throws {
    let fixture = try EncoderDecoderFixture(name)
    let loaded = try fixture.converted()
    let evaluator = TargetPerplexityEvaluator(
      model: loaded.model, tokenizer: loaded.tokenizer, targetTokenizer: loaded.targetTokenizer)
    var sum = 0.0
    var tokens = 0
    for pair in fixture.expected.pairs {
      let result = try evaluator.evaluate([.init(source: pair.source, target: pair.target)])
      #expect(result.tokensScored == pair.tokens)
      let loss = result.meanNegativeLogLikelihood
      #expect(abs(loss - pair.lossOfHalves) < Self.tolerance, "\(loss - pair.lossOfHalves)")
      // What rounding keys and values costs in transformers itself.
      #expect(abs(loss - pair.loss) < abs(pair.lossOfHalves - pair.loss) + Self.tolerance)
      sum += pair.lossOfHalves * Double(pair.tokens)
      tokens += pair.tokens
    }
    let all = try evaluator.evaluate(
      fixture.expected.pairs.map { .init(source: $0.source, target: $0.target) })
    #expect(abs(all.meanNegativeLogLikelihood - sum / Double(tokens)) < Self.tolerance)
    #expect(all.tokensScored == tokens && all.pairs == fixture.expected.pairs.count)
    #expect(abs(log(all.perplexity) - all.meanNegativeLogLikelihood) < 1e-9)
  }
}

extension String {
  fileprivate var trimmed: String { trimmingCharacters(in: .whitespaces) }
}
