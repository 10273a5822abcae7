import EmberGeneration
import EmberModel
import EmberTokenizer
import Testing

struct SamplesTests {
  private static func alone(
    _ model: Model, _ prompt: String, _ options: TextGenerator.Options, speculation: Bool = false
  ) throws -> TextGenerator.Result {
    try TextGenerator(
      model: model, tokenizer: try Tokenizer(serialized: model.file.tokenizer),
      session: try InferenceSession(model: model, threads: 1),
      speculation: speculation ? SpeculationTests.eager() : nil
    ).generate(prompt: prompt, options: options) { _ in }
  }

  @Test("several samples are the texts of their seeds alone", arguments: [1, 2, 5])
  func samples(count: Int) throws {
    let folder = try TemporaryFolder()
    let model = try TinyModel.make(.random(seed: 3), in: folder, type: .q8)
    let prompt = "the quick brown fox abc abc abc abc"
    var options = TextGenerator.Options(maximumTokens: 15, seed: 9, stopStrings: ["ab"])
    options.sampling.temperature = 2
    options.sampling.presencePenalty = 0.4
    options.stopTokens = [80, 90, 100]
    let generator = ParallelGenerator(
      model: model, tokenizer: try Tokenizer(serialized: model.file.tokenizer),
      session: try ParallelSession(model: model, sequences: 5, threads: 2, stepCapacity: 7))
    // A second time, behind what the first left in the caches.
    for _ in 0..<2 {
      let results = try generator.samples(prompt: prompt, count: count, options: options)
      #expect(results.map(\.index) == Array(0..<count))
      for result in results {
        var single = options
        single.seed = result.seed
        let text = try result.text.get()
        let expected = try Self.alone(model, prompt, single)
        #expect(text.ids == expected.ids && text.text == expected.text)
        #expect(text.stopReason == expected.stopReason)
      }
      #expect(Set(results.map(\.seed)).count == count)
      if count == 1 { #expect(results[0].seed == 9) }
    }
    #expect(throws: GenerationError.self) {
      try generator.samples(prompt: prompt, count: 6, options: options)
    }
  }

  @Test("the prompt is computed once")
  func passes() throws {
    let folder = try TemporaryFolder()
    let model = try TinyModel.make(.uniform, in: folder)
    let options = TextGenerator.Options(maximumTokens: 6, seed: 1, stopsAtEndOfSequence: false)
    var last: ParallelGenerator.Progress?
    _ = try ParallelGenerator(
      model: model, tokenizer: try Tokenizer(serialized: model.file.tokenizer),
      session: try ParallelSession(model: model, sequences: 4, threads: 1)
    ).samples(prompt: "abcabc", count: 4, options: options, progress: { last = $0 })
    #expect(last?.steps == 5 && last?.generatedTokens == 24)
    #expect((last?.promptTokens ?? 8) < 8)
  }

  @Test("a stop token ends the text and is no part of it")
  func stopTokens() throws {
    let folder = try TemporaryFolder()
    let chain = [1] + TinyModel.bytes("pqrst") + [2]
    let model = try TinyModel.make(.chain(chain), in: folder)
    var options = TextGenerator.Options(maximumTokens: 10, sampling: .greedy, seed: 1)
    options.stopTokens = TinyModel.bytes("s")
    for speculation in [false, true] {
      let result = try Self.alone(model, "", options, speculation: speculation)
      #expect(result.text == "pqr" && result.stopReason == .stopToken)
    }
    options.stopTokens = [270]
    #expect(throws: GenerationError.self) { try Self.alone(model, "", options) }
    options.stopTokens = []
    options.sampling.logitBias = [.init(id: 270, value: 1)]
    #expect(throws: GenerationError.self) { try Self.alone(model, "", options) }
  }

  @Test(
    "speculation leaves the text of every strategy as it is", arguments: ProcessorTests.variants)
  func speculation(sampling: SamplingOptions) throws {
    let folder = try TemporaryFolder()
    // A text that goes round until something keeps it from repeating itself.
    let model = try TinyModel.make(.chain(TinyModel.bytes("pqrsp")), in: folder)
    var options = TextGenerator.Options(maximumTokens: 40, sampling: sampling, seed: 2)
    options.stopsAtEndOfSequence = false
    options.sampling.temperature = 0.5
    let expected = try Self.alone(model, "pqrspqrs", options)
    let found = try Self.alone(model, "pqrspqrs", options, speculation: true)
    #expect(found.ids == expected.ids)
    #expect((found.speculation?.draftedTokens ?? 0) > 0)
  }
}
