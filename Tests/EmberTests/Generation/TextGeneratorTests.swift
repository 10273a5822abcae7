import EmberGeneration
import EmberModel
import EmberTokenizer
import Testing

struct TextGeneratorTests {
  private static func generator(
    _ chain: [Int32], in folder: TemporaryFolder, contextLength: Int = 64
  ) throws -> TextGenerator {
    let model = try TinyModel.make(.chain(chain), in: folder, contextLength: contextLength)
    return TextGenerator(
      model: model, tokenizer: try Tokenizer(serialized: model.file.tokenizer),
      session: try InferenceSession(model: model, threads: 1))
  }

  private static func options(
    _ maximum: Int? = nil, stop: [String] = []
  ) -> TextGenerator.Options {
    TextGenerator.Options(
      maximumTokens: maximum, sampling: .greedy, seed: 1, stopStrings: stop)
  }

  private static func generate(
    _ generator: TextGenerator, _ options: TextGenerator.Options, prompt: String = ""
  ) throws -> (result: TextGenerator.Result, pieces: [String]) {
    var pieces: [String] = []
    let result = try generator.generate(prompt: prompt, options: options) { pieces.append($0) }
    #expect(pieces.joined() == result.text)
    #expect(!pieces.contains(""))
    return (result, pieces)
  }

  @Test("a text is streamed to its end, characters whole, from the beginning of the sequence")
  func endOfSequence() throws {
    let folder = try TemporaryFolder()
    let chain = [1] + TinyModel.bytes("h€y 😀é") + [2]
    let (result, pieces) = try Self.generate(
      Self.generator(chain, in: folder), Self.options())
    #expect(result.text == "h€y 😀é")
    #expect(pieces == ["h", "€", "y", " ", "😀", "é"])
    #expect(result.stopReason == .endOfSequence)
    #expect(result.promptTokens == 1)
    #expect(result.generatedTokens == 12)
    #expect(result.ids == Array(chain.dropFirst().dropLast()))
    #expect(result.decodeSteps == 12)
    #expect(result.seed == 1)
  }

  @Test("the beginning of another sequence ends this one")
  func beginOfSequence() throws {
    let folder = try TemporaryFolder()
    let chain = TinyModel.bytes("xyz") + [1] + TinyModel.bytes("w")
    let generator = try Self.generator(chain, in: folder)
    var (result, _) = try Self.generate(generator, Self.options(), prompt: "x")
    #expect(result.text == "yz")
    #expect(result.stopReason == .endOfSequence)
    var options = Self.options(4)
    options.stopsAtEndOfSequence = false
    (result, _) = try Self.generate(generator, options, prompt: "x")
    #expect(result.ids == TinyModel.bytes("yz") + [1] + TinyModel.bytes("w"))
    #expect(result.text == "yzw")
    #expect(result.stopReason == .maximumTokens)
  }

  @Test("no more tokens than asked for, and no step too many")
  func maximumTokens() throws {
    let folder = try TemporaryFolder()
    let generator = try Self.generator([1] + TinyModel.bytes("pqrstuv"), in: folder)
    for maximum in 0...5 {
      let (result, _) = try Self.generate(generator, Self.options(maximum))
      #expect(result.generatedTokens == maximum)
      #expect(result.text == "pqrst".prefix(maximum))
      #expect(result.stopReason == .maximumTokens)
      #expect(result.decodeSteps == max(0, maximum - 1))
    }
    // Ends inside a character: its first byte alone is no text.
    let inside = try Self.generator([1] + TinyModel.bytes("p€"), in: folder)
    #expect(try Self.generate(inside, Self.options(2)).result.text == "p\u{FFFD}")
  }

  @Test("a full context stops, after the token that it still predicts")
  func contextFull() throws {
    let folder = try TemporaryFolder()
    let chain = [1] + TinyModel.bytes("pqrstuvw")
    let generator = try Self.generator(chain, in: folder, contextLength: 4)
    let (result, _) = try Self.generate(generator, Self.options())
    #expect(result.stopReason == .contextFull)
    #expect(result.text == "pqrs")
    #expect(result.decodeSteps == 3)
    // And the next text starts anew.
    #expect(try Self.generate(generator, Self.options(2)).result.text == "pq")
  }

  @Test("a prompt longer than the context is refused before any work; one as long is not")
  func promptTooLong() throws {
    let folder = try TemporaryFolder()
    let generator = try Self.generator([1], in: folder, contextLength: 4)
    #expect(throws: GenerationError.promptTooLong(tokens: 6, context: 4)) {
      try Self.generate(generator, Self.options(), prompt: "zzzz")
    }
    let (result, _) = try Self.generate(generator, Self.options(), prompt: "zz")
    #expect(result.promptTokens == 4)
    #expect(result.stopReason == .contextFull)
    #expect(result.generatedTokens == 1)
  }

  @Test("stop strings are found across tokens and never shown, nor part of them")
  func stopStrings() throws {
    let folder = try TemporaryFolder()
    let generator = try Self.generator([1] + TinyModel.bytes("pq€rst") + [2], in: folder)
    func run(_ stop: [String]) throws -> (TextGenerator.Result, [String]) {
      try Self.generate(generator, Self.options(stop: stop))
    }
    let (result, pieces) = try run(["€rs"])
    #expect(pieces == ["p", "q"])
    #expect(result.stopReason == .stopString)
    #expect(result.generatedTokens == 7)
    #expect(try run(["p"]).0.text == "")
    // Held back, then shown: it did not become the stop string.
    #expect(try run(["qx", "€ry"]).1 == ["p", "q", "€rs", "t"])
    #expect(try run(["qx", "€ry"]).0.stopReason == .endOfSequence)
    // At the end what is held back is shown.
    #expect(try run(["stu"]).0.text == "pq€rst")
    #expect(try run(["zz", "st"]).0.text == "pq€r")
  }

  @Test("cancelling ends the text where it is")
  func cancelled() throws {
    let folder = try TemporaryFolder()
    let generator = try Self.generator([1] + TinyModel.bytes("pqrstuvw"), in: folder)
    var asked = 0
    let result = try generator.generate(
      prompt: "", options: Self.options(),
      isCancelled: {
        asked += 1
        return asked > 4
      }, emit: { _ in })
    #expect(result.stopReason == .cancelled)
    #expect(result.text == "pqr")
    let none = try generator.generate(
      prompt: "", options: Self.options(), isCancelled: { true }, emit: { _ in })
    #expect(none.stopReason == .cancelled)
    #expect(none.text == "")
  }

  @Test("an error of the receiver comes through, and the generator can be used again")
  func emitThrows() throws {
    struct Closed: Error {}
    let folder = try TemporaryFolder()
    let generator = try Self.generator([1] + TinyModel.bytes("pqr"), in: folder)
    #expect(throws: Closed.self) {
      try generator.generate(prompt: "", options: Self.options()) { _ in throw Closed() }
    }
    #expect(try Self.generate(generator, Self.options(2)).result.text == "pq")
  }

  @Test("options that make no sense and damaged weights are errors")
  func errors() throws {
    let folder = try TemporaryFolder()
    let generator = try Self.generator([1], in: folder)
    #expect(
      throws: GenerationError.invalidOption(
        name: "maximum tokens", expected: "0 or more", found: "-1")
    ) { try Self.generate(generator, Self.options(-1)) }
    #expect(throws: GenerationError.self) {
      try Self.generate(generator, Self.options(stop: ["a", ""]))
    }
    let damaged = try TinyModel.make(.notFinite, in: folder, named: "damaged")
    let other = TextGenerator(
      model: damaged, tokenizer: try Tokenizer(serialized: damaged.file.tokenizer),
      session: try InferenceSession(model: damaged, threads: 1))
    #expect(throws: GenerationError.notFinite(position: 1)) {
      try Self.generate(other, Self.options())
    }
  }

  @Test("the seed reproduces the text, whatever the threads and the chunk length")
  func reproducible() throws {
    let folder = try TemporaryFolder()
    let model = try TinyModel.make(.random(seed: 3), in: folder, type: .q8)
    let tokenizer = try Tokenizer(serialized: model.file.tokenizer)
    func ids(threads: Int, chunk: Int, seed: UInt64) throws -> [Int32] {
      let session = try InferenceSession(model: model, threads: threads, chunkLength: chunk)
      let generator = TextGenerator(model: model, tokenizer: tokenizer, session: session)
      var options = TextGenerator.Options(maximumTokens: 20, seed: seed)
      options.sampling.temperature = 2
      return try generator.generate(prompt: "abc de abc", options: options) { _ in }.ids
    }
    let expected = try ids(threads: 1, chunk: 128, seed: 9)
    #expect(expected.count == 20)
    for threads in 1...3 {
      for chunk in [1, 3, 16, 128] {
        #expect(try ids(threads: threads, chunk: chunk, seed: 9) == expected)
      }
    }
    #expect(try ids(threads: 1, chunk: 128, seed: 10) != expected)
  }
}
