import EmberGeneration
import EmberModel
import EmberTokenizer
import Testing

struct ParallelGeneratorTests {
  /// What the generator must give, one prompt after another.
  private static func alone(
    _ model: Model, _ prompts: [String], _ options: TextGenerator.Options, contextLength: Int
  ) throws -> [TextGenerator.Result?] {
    let generator = TextGenerator(
      model: model, tokenizer: try Tokenizer(serialized: model.file.tokenizer),
      session: try InferenceSession(model: model, contextLength: contextLength, threads: 1))
    return prompts.enumerated().map { index, prompt in
      var options = options
      options.seed = ParallelGenerator.seed(options.seed, ofPrompt: index)
      return try? generator.generate(prompt: prompt, options: options) { _ in }
    }
  }

  private static func generator(
    _ model: Model, sequences: Int, stepCapacity: Int = 128, contextLength: Int = 64
  ) throws -> ParallelGenerator {
    ParallelGenerator(
      model: model, tokenizer: try Tokenizer(serialized: model.file.tokenizer),
      session: try ParallelSession(
        model: model, sequences: sequences, contextLength: contextLength, threads: 2,
        stepCapacity: stepCapacity))
  }

  private static let prompts = [
    "abc de", "", "a", "the quick brown fox abc abc abc abc", "zz", "€ b", "ab ab ab ab ab ab",
    "x y z", "abc", "d", "e e e e e e e e",
  ]

  @Test(
    "texts are those of the prompts alone, in their order, whatever is computed beside them",
    arguments: [1, 2, 3, 8, 16], [1, 5, 128])
  func sameTexts(sequences: Int, stepCapacity: Int) throws {
    let folder = try TemporaryFolder()
    let model = try TinyModel.make(.random(seed: 3), in: folder, type: .q8)
    var options = TextGenerator.Options(maximumTokens: 30, seed: 9, stopStrings: ["q", "ab"])
    options.sampling.temperature = 2
    options.sampling.repetitionPenalty = 1.2
    let expected = try Self.alone(model, Self.prompts, options, contextLength: 56)
    var results: [ParallelGenerator.Result] = []
    let done = try Self.generator(
      model, sequences: sequences, stepCapacity: stepCapacity, contextLength: 56
    ).generate(prompts: Self.prompts, options: options) { results.append($0) }
    #expect(results.map(\.index) == Array(Self.prompts.indices))
    for (result, alone) in zip(results, expected) {
      let (text, alone) = (try result.text.get(), try #require(alone))
      #expect(text.ids == alone.ids && text.text == alone.text)
      #expect(text.stopReason == alone.stopReason)
      #expect(text.promptTokens == alone.promptTokens)
      #expect(result.seed == alone.seed)
    }
    // The prompts differ in how they end, or little is shown.
    #expect(Set(expected.compactMap { $0?.stopReason }).count > 1)
    #expect(done.finishedPrompts == Self.prompts.count)
    #expect(done.generatedTokens == expected.reduce(0) { $0 + ($1?.generatedTokens ?? 0) })
    #expect(done.promptTokens == expected.reduce(0) { $0 + ($1?.promptTokens ?? 0) })
  }

  @Test("a pass over the weights serves all sequences")
  func passes() throws {
    let folder = try TemporaryFolder()
    let model = try TinyModel.make(.uniform, in: folder)
    let options = TextGenerator.Options(maximumTokens: 20, seed: 1, stopsAtEndOfSequence: false)
    let done = try Self.generator(model, sequences: 4).generate(
      prompts: [String](repeating: "ab", count: 8), options: options
    ) { _ in }
    // Twice four prompts: one pass for the prompts and one for each token after the first.
    #expect(done.steps == 2 * 20)
  }

  @Test("every way to end is the same as alone", arguments: [0, 1, nil])
  func ends(maximum: Int?) throws {
    let folder = try TemporaryFolder()
    let chain = [1] + TinyModel.bytes("pq€rst") + [2]
    let model = try TinyModel.make(.chain(chain), in: folder)
    for stop in [[], ["€r"], ["stz"]] {
      let options = TextGenerator.Options(
        maximumTokens: maximum, sampling: .greedy, seed: 1, stopStrings: stop)
      let prompts = ["", "p", "q", "zzz"]
      let expected = try Self.alone(model, prompts, options, contextLength: 8)
      var index = 0
      try Self.generator(model, sequences: 3, contextLength: 8).generate(
        prompts: prompts, options: options
      ) { result in
        let (text, alone) = (try result.text.get(), try #require(expected[index]))
        #expect(text.text == alone.text && text.ids == alone.ids)
        #expect(text.stopReason == alone.stopReason, "\(index) \(stop)")
        index += 1
      }
      #expect(index == prompts.count)
    }
  }

  @Test("a prompt that cannot be continued is an error in its place, and the others go on")
  func failures() throws {
    let folder = try TemporaryFolder()
    let model = try TinyModel.make(.chain([1] + TinyModel.bytes("pqr") + [2]), in: folder)
    let prompts = ["p", "much too long", "q", "also too long", "too long as well"]
    let options = TextGenerator.Options(sampling: .greedy, seed: 1)
    var results: [ParallelGenerator.Result] = []
    try Self.generator(model, sequences: 2, contextLength: 8).generate(
      prompts: prompts, options: options
    ) { results.append($0) }
    #expect(results.map(\.index) == Array(prompts.indices))
    #expect(try results[0].text.get().text == "qr")
    #expect(try results[2].text.get().text == "r")
    for index in [1, 3, 4] {
      #expect(throws: GenerationError.self) { _ = try results[index].text.get() }
    }
    let damaged = try TinyModel.make(.notFinite, in: folder, named: "damaged")
    results = []
    try Self.generator(damaged, sequences: 2).generate(
      prompts: ["p", "q"], options: options
    ) { results.append($0) }
    for result in results {
      #expect(throws: GenerationError.self) { _ = try result.text.get() }
    }
    #expect(results.count == 2)
  }

  @Test("an empty prompt without a token to begin with is an error in its place")
  func emptyPrompt() throws {
    let folder = try TemporaryFolder()
    let model = try TinyModel.make(.uniform, in: folder)
    var result: ParallelGenerator.Result?
    try Self.generator(model, sequences: 1).generate(
      prompts: [""], options: .init(maximumTokens: 1, sampling: .greedy, seed: 1)
    ) { result = $0 }
    // This tokenizer has such a token.
    #expect(try result?.text.get().promptTokens == 1)
    #expect(throws: GenerationError.self) {
      try Self.generator(model, sequences: 1).generate(
        prompts: ["p"], options: .init(maximumTokens: -1)
      ) { _ in }
    }
  }

  @Test("going on behind the first prompts gives the same texts")
  func continuing() throws {
    let folder = try TemporaryFolder()
    let model = try TinyModel.make(.random(seed: 8), in: folder, type: .q8)
    var options = TextGenerator.Options(maximumTokens: 12, seed: 4)
    options.sampling.temperature = 2
    func texts(from first: Int) throws -> [String] {
      var texts: [String] = []
      try Self.generator(model, sequences: 3).generate(
        prompts: Self.prompts, from: first, options: options
      ) {
        #expect($0.index == first + texts.count)
        texts.append(try $0.text.get().text)
      }
      return texts
    }
    let all = try texts(from: 0)
    for first in [1, 5, Self.prompts.count] {
      #expect(try texts(from: first) == Array(all[first...]))
    }
  }

  @Test("cancelled, it has handed out the first results and nothing else")
  func cancelled() throws {
    let folder = try TemporaryFolder()
    let model = try TinyModel.make(.uniform, in: folder)
    let options = TextGenerator.Options(maximumTokens: 6, seed: 1, stopsAtEndOfSequence: false)
    for limit in 0..<14 {
      var asked = 0
      var indices: [Int] = []
      let done = try Self.generator(model, sequences: 2).generate(
        prompts: ["a", "b", "a", "b", "a"], options: options,
        isCancelled: {
          asked += 1
          return asked > limit
        }, emit: { indices.append($0.index) })
      #expect(done.steps == limit)
      // Six steps each: the prompt's, and five more.
      #expect(indices == Array(0..<limit / 6 * 2))
    }
    struct Closed: Error {}
    let generator = try Self.generator(model, sequences: 2)
    #expect(throws: Closed.self) {
      try generator.generate(prompts: ["a"], options: options) { _ in throw Closed() }
    }
    var count = 0
    try generator.generate(prompts: ["a", "b", "a"], options: options) { _ in count += 1 }
    #expect(count == 3)
  }

  @Test("seeds are SplitMix64's numbers")
  func seeds() {
    var numbers = SplitMix64(seed: 77)
    for index in 0..<5 {
      #expect(ParallelGenerator.seed(77, ofPrompt: index) == numbers.next())
    }
  }
}
