import EmberGeneration
import EmberModel
import EmberTokenizer
import Foundation
import Testing

/// A text that ends in the middle of a draft ends where it would have without.
@Suite("Ends of speculative decoding")
struct SpeculationEndTests {
  /// One pass takes as long as another, so that drafts are as long as they may be.
  private static func both(
    _ model: Model, _ options: TextGenerator.Options, prompt: String = "w", context: Int? = nil,
    expectsDrafts: Bool = true
  ) throws -> TextGenerator.Result {
    let tokenizer = try Tokenizer(serialized: model.file.tokenizer)
    func run(_ speculation: Speculation?) throws -> (TextGenerator.Result, [String]) {
      let session = try InferenceSession(model: model, contextLength: context, threads: 1)
      let generator = TextGenerator(
        model: model, tokenizer: tokenizer, session: session, speculation: speculation)
      var pieces: [String] = []
      let result = try generator.generate(prompt: prompt, options: options) { pieces.append($0) }
      return (result, pieces)
    }
    let (plain, plainPieces) = try run(nil)
    let (result, pieces) = try run(SpeculationTests.eager())
    SpeculationTests.expectSame(result, plain)
    #expect(pieces == plainPieces)
    if expectsDrafts {
      #expect(result.speculation?.acceptedTokens ?? 0 > 0)
      #expect(result.decodePasses < plain.decodePasses)
    }
    return result
  }

  private static func options(
    _ maximum: Int? = nil, stop: [String] = []
  ) -> TextGenerator.Options {
    TextGenerator.Options(maximumTokens: maximum, sampling: .greedy, seed: 1, stopStrings: stop)
  }

  /// p to w, again and again.
  private static func cycle(in folder: TemporaryFolder) throws -> Model {
    try TinyModel.make(
      .chain(TinyModel.bytes("pqrstuvwp")), in: folder, contextLength: 128)
  }

  @Test("the number of tokens, the context")
  func maximum() throws {
    let folder = try TemporaryFolder()
    let model = try Self.cycle(in: folder)
    for maximum in 0...60 {
      let result = try Self.both(model, Self.options(maximum), expectsDrafts: maximum > 14)
      #expect(result.generatedTokens == maximum)
      #expect(result.stopReason == .maximumTokens)
    }
    for context in [3, 4, 5, 13, 14, 15, 16, 17, 18, 19, 20, 40, 128] {
      let result = try Self.both(
        model, Self.options(), context: context, expectsDrafts: context > 18)
      #expect(result.generatedTokens == context - result.promptTokens + 1)
      #expect(result.stopReason == .contextFull)
    }
  }

  @Test("a stop string")
  func stopString() throws {
    let folder = try TemporaryFolder()
    let model = try Self.cycle(in: folder)
    let text = String(repeating: "pqrstuvw", count: 5)
    for length in [15, 18, 21, 24, 27, 30, 33] {
      let result = try Self.both(model, Self.options(stop: [String(text.prefix(length)), "x"]))
      #expect(result.stopReason == .stopString)
      #expect(result.text == "")
      #expect(result.generatedTokens == length)
    }
  }

  @Test("the end of the sequence, guessed and not")
  func endOfSequence() throws {
    let folder = try TemporaryFolder()
    let chain = TinyModel.bytes("pqrstuv") + [2]
    let model = try TinyModel.make(.chain(chain), in: folder, contextLength: 128)
    let result = try Self.both(model, Self.options(), prompt: "pqrstuvxypqrstuvxyp")
    #expect(result.text == "qrstuv")
    #expect(result.stopReason == .endOfSequence)
    #expect(result.decodeSteps == 6)
    // Where it does not end the text, it comes again, and is guessed.
    let cycle = try TinyModel.make(
      .chain(TinyModel.bytes("pqrst") + [2] + TinyModel.bytes("p")), in: folder,
      named: "cycle", contextLength: 128)
    var options = Self.options(60)
    options.stopsAtEndOfSequence = false
    #expect(try Self.both(cycle, options, prompt: "p").generatedTokens == 60)
  }

  @Test("an interruption: what was shown is the beginning of the text")
  func cancelled() throws {
    let folder = try TemporaryFolder()
    let model = try Self.cycle(in: folder)
    let tokenizer = try Tokenizer(serialized: model.file.tokenizer)
    for limit in 1...12 {
      let generator = TextGenerator(
        model: model, tokenizer: tokenizer, session: try InferenceSession(model: model, threads: 1),
        speculation: SpeculationTests.eager())
      var asked = 0
      let result = try generator.generate(
        prompt: "w", options: Self.options(),
        isCancelled: {
          asked += 1
          return asked > limit
        }, emit: { _ in })
      let whole = String(repeating: "pqrstuvw", count: 20)
      #expect(whole.hasPrefix(result.text))
      #expect(result.stopReason == (result.generatedTokens > 120 ? .contextFull : .cancelled))
    }
  }

  @Test("an error of the receiver in the middle, and the generator can be used again")
  func emitThrows() throws {
    struct Closed: Error {}
    let folder = try TemporaryFolder()
    let model = try Self.cycle(in: folder)
    let generator = TextGenerator(
      model: model, tokenizer: try Tokenizer(serialized: model.file.tokenizer),
      session: try InferenceSession(model: model, threads: 1),
      speculation: SpeculationTests.eager())
    for limit in 1...30 {
      var pieces = 0
      #expect(throws: Closed.self) {
        try generator.generate(prompt: "w", options: Self.options(60)) { _ in
          pieces += 1
          if pieces == limit { throw Closed() }
        }
      }
    }
    let result = try generator.generate(prompt: "w", options: Self.options(20)) { _ in }
    #expect(result.text == "pqrstuvwpqrstuvwpqrs")
  }

  /// The promise is more than a distribution, but this is the one that the scheme is known for.
  @Test("tokens drawn behind a draft have the model's distribution")
  func distribution() throws {
    let folder = try TemporaryFolder()
    let model = try TinyModel.make(
      .chain(TinyModel.bytes("pqrstuv")), in: folder, contextLength: 128)
    let tokenizer = try Tokenizer(serialized: model.file.tokenizer)
    // What the model says after v, among the ten likeliest.
    let session = try InferenceSession(model: model, threads: 1)
    let (temperature, kept) = (Float(8), 10)
    let logits = Array(try session.append([TinyModel.byte(UInt8(ascii: "v"))]))
    // Equal logits: the lower id stays.
    let ids = logits.indices.sorted { (logits[$0], $1) > (logits[$1], $0) }.prefix(kept)
    let weights = ids.map { exp(Double(logits[$0] - logits[ids[0]]) / Double(temperature)) }
    let sum = weights.reduce(0, +)

    // The likeliest of them that is a letter is what the draft says.
    var counts = [Int](repeating: 0, count: kept)
    var (drafted, accepted) = (0, 0)
    let generator = TextGenerator(
      model: model, tokenizer: tokenizer, session: session,
      speculation: SpeculationTests.eager(maximum: 5))
    var options = TextGenerator.Options(maximumTokens: 9, stopsAtEndOfSequence: false)
    options.sampling = SamplingOptions(temperature: temperature, topK: kept, topP: 1, minP: 0)
    let follower = try #require(ids.first { (36..<129).contains($0) })
    let letter = String(UnicodeScalar(UInt8(follower - 3)))
    let chain = TinyModel.bytes("qrstuv")
    for seed in 0..<6000 as Range<UInt64> {
      options.seed = seed
      let result = try generator.generate(
        prompt: "pqrstuv\(letter)pqrstuv\(letter)pqrstuv\(letter)p", options: options
      ) { _ in }
      guard result.ids.count >= 7, result.ids.prefix(6).elementsEqual(chain) else { continue }
      let last = try #require(ids.firstIndex(of: Int(result.ids[6])))
      counts[last] += 1
      let statistics = try #require(result.speculation)
      drafted += statistics.draftedTokens
      accepted += statistics.acceptedTokens
    }
    let total = counts.reduce(0, +)
    #expect(total > 1000)
    // Both kinds: the draft was right, and it was not.
    #expect(accepted > total && accepted < drafted)
    let statistic = zip(counts, weights).reduce(0.0) { result, pair in
      let expected = pair.1 / sum * Double(total)
      return result + (Double(pair.0) - expected) * (Double(pair.0) - expected) / expected
    }
    // Exceeded by one in a thousand, with 9 degrees of freedom.
    #expect(statistic < 27.88, "\(counts) of \(total), weights \(weights)")
    #expect(Set(counts).count > 1)
  }
}
