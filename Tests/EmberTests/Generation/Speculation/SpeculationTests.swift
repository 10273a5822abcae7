import Ember
import EmberGeneration
import EmberTestSupport
import Testing

/// The text, token for token, is the one without speculation.
@Suite("Speculative decoding")
struct SpeculationTests {
  /// Every question about the time is a second later: all passes take the same, so that as much is
  /// guessed as there is to guess. Only drafting takes less.
  static func eager(
    lookup: Bool = true, draft: DraftModel? = nil, maximum: Int = 64
  ) -> Speculation {
    var speculation = Speculation(
      usesLookup: lookup, draftModel: draft, maximumDraft: maximum)
    var (seconds, position) = (0.0, 0)
    speculation.now = {
      let drafted = draft?.session.position ?? 0
      seconds += drafted == position ? 1 : 0.05
      position = drafted
      return seconds
    }
    return speculation
  }

  /// Times without sense, so that lengths change all the time.
  static func erratic(draft: DraftModel? = nil) -> Speculation {
    var speculation = Speculation(draftModel: draft)
    var noise = SplitMix64(seed: 11)
    var seconds = 0.0
    speculation.now = {
      seconds += noise.nextUnit() * 10 - 2
      return seconds
    }
    return speculation
  }

  static func expectSame(
    _ speculative: TextGenerator.Result, _ plain: TextGenerator.Result, _ comment: String = "",
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    #expect(
      speculative.ids == plain.ids, "\(comment)", sourceLocation: sourceLocation)
    #expect(speculative.text == plain.text, "\(comment)", sourceLocation: sourceLocation)
    #expect(
      speculative.stopReason == plain.stopReason, "\(comment)", sourceLocation: sourceLocation)
    #expect(
      speculative.decodeSteps == plain.decodeSteps, "\(comment)", sourceLocation: sourceLocation)
    #expect(speculative.decodePasses <= plain.decodePasses, sourceLocation: sourceLocation)
  }

  static func generate(
    _ model: ConvertedModel, _ prompt: String, _ options: TextGenerator.Options,
    _ speculation: Speculation?, threads: Int = 2, chunk: Int = 128,
    cache: CachePrecision = .half
  ) throws -> TextGenerator.Result {
    let generator = TextGenerator(
      model: model.model, tokenizer: model.tokenizer,
      session: try InferenceSession(
        model: model.model, contextLength: 512, threads: threads, chunkLength: chunk,
        cachePrecision: cache),
      speculation: speculation)
    return try generator.generate(prompt: prompt, options: options) { _ in }
  }

  static let prompt =
    "It was a dark and stormy night, and the rain fell in torrents. It was a dark and stormy"

  static let sampling: [SamplingOptions] = [
    .greedy, SamplingOptions(), SamplingOptions(temperature: 0.3),
    SamplingOptions(temperature: 1.5, topK: 0, topP: 1, minP: 0),
    SamplingOptions(temperature: 0, repetitionPenalty: 1.2),
    SamplingOptions(temperature: 0.7, repetitionPenalty: 1.1, repetitionWindow: 20),
  ]

  private func expectIdentity(_ model: ConvertedModel, draft: ConvertedModel) throws {
    for sampling in Self.sampling {
      for seed in sampling.temperature == 0 ? [1] : [1, 2, 3] as [UInt64] {
        let options = TextGenerator.Options(
          maximumTokens: 120, sampling: sampling, seed: seed, stopsAtEndOfSequence: seed != 2)
        let plain = try Self.generate(model, Self.prompt, options, nil)
        #expect(plain.speculation == nil)
        #expect(plain.decodePasses == plain.decodeSteps)
        func draftModel(context: Int = 512) throws -> DraftModel {
          try DraftModel(
            session: InferenceSession(model: draft.model, contextLength: context, threads: 1),
            target: model.model)
        }
        let kinds: [(String, Speculation)] = [
          ("look-up", Self.eager()), ("look-up, erratic", Self.erratic()),
          ("draft model", Self.eager(lookup: false, draft: try draftModel())),
          ("draft model, 3", Self.eager(lookup: false, draft: try draftModel(), maximum: 3)),
          ("both, short context", Self.erratic(draft: try draftModel(context: 60))),
          ("as the clock has it", Speculation(draftModel: try draftModel())),
        ]
        for (name, speculation) in kinds {
          let result = try Self.generate(model, Self.prompt, options, speculation)
          Self.expectSame(result, plain, "\(name), \(sampling), seed \(seed)")
          let statistics = try #require(result.speculation)
          #expect(statistics.passes == result.decodePasses)
          #expect(statistics.acceptedTokens <= statistics.draftedTokens)
          if name.hasPrefix("draft") {
            #expect(statistics.acceptedTokens > 0, "\(sampling)")
          }
        }
      }
    }
  }

  @Test("the same text: Llama architecture")
  func llama() throws {
    try expectIdentity(
      ConvertedModel.bundled(bits: 16), draft: ConvertedModel.bundled(bits: 4))
    // The file with 4-bit weights has kernels of its own.
    try expectIdentity(
      ConvertedModel.bundled(bits: 4), draft: ConvertedModel.bundled(bits: 8))
  }

  @Test("the same text: GPT-2 architecture", .enabled(if: TestData.hasShared))
  func gpt2() throws {
    try expectIdentity(
      ConvertedModel.shared("novel-gpt2", bits: 8),
      draft: ConvertedModel.shared("novel-gpt2", bits: 4))
  }

  @Test("whatever the threads, the chunk length and the cache")
  func threads() throws {
    let model = try ConvertedModel.bundled(bits: 4)
    let options = TextGenerator.Options(maximumTokens: 60, seed: 5)
    for cache in [CachePrecision.half, .int8] {
      let plain = try Self.generate(model, Self.prompt, options, nil, cache: cache)
      for (threads, chunk) in [(1, 128), (2, 5), (3, 17), (2, 1)] {
        let result = try Self.generate(
          model, Self.prompt, options, Self.eager(), threads: threads, chunk: chunk, cache: cache)
        Self.expectSame(result, plain, "\(threads) threads, chunks of \(chunk)")
        let statistics = try #require(result.speculation)
        #expect((statistics.draftedTokens == 0) == (chunk == 1))
      }
    }
  }

  @Test("a draft model that is the model itself is always right, for sampled text too")
  func sameModel() throws {
    let model = try ConvertedModel.bundled(bits: 8)
    for sampling in Self.sampling {
      let draft = try DraftModel(
        session: InferenceSession(model: model.model, contextLength: 512, threads: 1),
        target: model.model)
      let options = TextGenerator.Options(
        maximumTokens: 200, sampling: sampling, seed: 4, stopsAtEndOfSequence: false)
      let result = try Self.generate(
        model, Self.prompt, options, Self.eager(lookup: false, draft: draft))
      let statistics = try #require(result.speculation)
      #expect(statistics.draftedTokens > 150, "\(sampling)")
      #expect(statistics.acceptedTokens == statistics.draftedTokens, "\(sampling)")
      #expect(result.tokensPerPass > 4)
    }
  }

  @Test("a draft model that takes too long is asked now and then only")
  func slowDraftModel() throws {
    let model = try ConvertedModel.bundled(bits: 4)
    let session = try InferenceSession(model: model.model, contextLength: 512, threads: 1)
    var speculation = Self.eager(
      lookup: false, draft: try DraftModel(session: session, target: model.model))
    var (seconds, position) = (0.0, 0)
    speculation.now = {
      // A drafted token takes ten times as long as a pass.
      seconds += 1 + 10 * Double(max(0, session.position - position))
      position = session.position
      return seconds
    }
    let options = TextGenerator.Options(
      maximumTokens: 300, sampling: .greedy, seed: 4, stopsAtEndOfSequence: false)
    let result = try Self.generate(model, Self.prompt, options, speculation)
    let statistics = try #require(result.speculation)
    #expect(statistics.draftedTokens > 3)
    #expect(statistics.draftedTokens <= 20)
    Self.expectSame(result, try Self.generate(model, Self.prompt, options, nil))
  }

  @Test("a draft model of other tokens is refused")
  func otherTokenizer() throws {
    let folder = try TemporaryFolder()
    let tiny = try TinyModel.make(.uniform, in: folder)
    let model = try ConvertedModel.bundled(bits: 4).model
    let session = try InferenceSession(model: tiny, threads: 1)
    let error = #expect(throws: GenerationError.self) {
      _ = try DraftModel(session: session, target: model)
    }
    #expect(
      error
        == .draftTokenizerDiffers(model: model.file.path.string, draft: tiny.file.path.string))
    let larger = try TinyModel.make(.uniform, in: folder, named: "larger", vocabularySize: 300)
    #expect(
      throws: GenerationError.draftVocabularyDiffers(
        model: larger.file.path.string, size: 300, draft: tiny.file.path.string, draftSize: 270)
    ) { _ = try DraftModel(session: session, target: larger) }
  }

  @Test("a damaged draft model costs its time, not the text")
  func damagedDraftModel() throws {
    let folder = try TemporaryFolder()
    let model = try TinyModel.make(.random(seed: 3), in: folder)
    let damaged = try TinyModel.make(.notFinite, in: folder, named: "damaged")
    let tokenizer = try Tokenizer(serialized: model.file.tokenizer)
    func generate(_ speculation: Speculation?) throws -> TextGenerator.Result {
      let generator = TextGenerator(
        model: model, tokenizer: tokenizer, session: try InferenceSession(model: model, threads: 1),
        speculation: speculation)
      return try generator.generate(
        prompt: "abc", options: .init(maximumTokens: 40, seed: 3)
      ) { _ in }
    }
    let draft = try DraftModel(
      session: InferenceSession(model: damaged, threads: 1), target: model)
    let result = try generate(Self.eager(lookup: false, draft: draft))
    Self.expectSame(result, try generate(nil))
    #expect(result.speculation?.draftedTokens == 0)
  }
}
