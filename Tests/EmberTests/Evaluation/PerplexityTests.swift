import EmberEvaluation
import EmberFormat
import EmberGeneration
import EmberModel
import EmberTokenizer
import Foundation
import Testing

struct PerplexityTests {
  static func ids(_ count: Int, seed: UInt64 = 6) -> [Int32] {
    var generator = SplitMix64(seed: seed)
    return (0..<count).map { _ in Int32(generator.next() % UInt64(TinyModel.vocabularySize)) }
  }

  static func evaluator(
    _ model: Model, threads: Int = 1, chunkLength: Int = 128
  ) throws -> PerplexityEvaluator {
    PerplexityEvaluator(
      model: model, tokenizer: try Tokenizer(serialized: model.file.tokenizer), threads: threads,
      chunkLength: chunkLength)
  }

  @Test("a model that finds all tokens alike has the vocabulary's size as perplexity")
  func uniform() throws {
    let folder = try TemporaryFolder()
    let model = try TinyModel.make(.uniform, in: folder)
    let result = try Self.evaluator(model).evaluate(
      ids: Self.ids(200), protocol: .papers(context: 32))
    #expect(abs(result.perplexity / Double(TinyModel.vocabularySize) - 1) < 1e-12)
    #expect(result.standardError < 1e-10)
    #expect(result.tokensScored == 6 * 31)
    #expect(result.windows == 6)
  }

  @Test("a model that knows the text has a perplexity of one")
  func certain() throws {
    let folder = try TemporaryFolder()
    let chain = TinyModel.bytes("abcdefghij")
    let model = try TinyModel.make(.chain(chain), in: folder)
    let result = try Self.evaluator(model).evaluate(ids: chain, protocol: .papers(context: 16))
    #expect(abs(result.perplexity - 1) < 1e-3)
    #expect(result.tokensScored == 9)
    // And is surprised where it does not.
    let other = try Self.evaluator(model).evaluate(
      ids: chain.reversed(), protocol: .papers(context: 16))
    #expect(other.perplexity > 1e6)
  }

  @Test("losses are those of a session fed by hand", arguments: [false, true])
  func byHand(begins: Bool) throws {
    let folder = try TemporaryFolder()
    let model = try TinyModel.make(.random(seed: 1), in: folder, type: .q8)
    let ids = Self.ids(70)
    let windows = PerplexityProtocol(
      context: 20, stride: 7, firstScored: 9, addsBeginOfSequence: begins)
    let result = try Self.evaluator(model).evaluate(ids: ids, protocol: windows)

    var expected: [Double] = []
    let holds = begins ? 19 : 20
    var scoredTo = 0
    for start in stride(from: 0, through: ids.count - holds, by: 7) {
      let input = (begins ? [1] : []) + ids[start..<start + holds]
      let session = try InferenceSession(model: model, threads: 1)
      for position in 0..<19 {
        let logits = try session.append([input[position]])
        let token = start + position + 1 - (begins ? 1 : 0)
        if position + 1 < 9 || token < scoredTo { continue }
        let sum = logits.reduce(0.0) { $0 + exp(Double($1)) }
        expected.append(log(sum) - Double(logits[Int(input[position + 1])]))
        scoredTo = token + 1
      }
    }
    #expect(result.negativeLogLikelihoods.count == expected.count)
    for (found, expected) in zip(result.negativeLogLikelihoods, expected) {
      #expect(abs(found - expected) < 1e-9)
    }
    let mean = expected.reduce(0, +) / Double(expected.count)
    #expect(abs(result.perplexity / exp(mean) - 1) < 1e-9)
  }

  @Test("the bits do not depend on threads and chunks")
  func sameBits() throws {
    let folder = try TemporaryFolder()
    for type in [BlockType.f16, .q8] {
      let model = try TinyModel.make(.random(seed: 2), in: folder, type: type)
      let windows = PerplexityProtocol(context: 50, stride: 50, firstScored: 20)
      let expected = try Self.evaluator(model).evaluate(ids: Self.ids(101), protocol: windows)
      for threads in 1...3 {
        for chunk in [1, 16, 128] {
          let result = try Self.evaluator(model, threads: threads, chunkLength: chunk)
            .evaluate(ids: Self.ids(101), protocol: windows)
          #expect(result.negativeLogLikelihoods == expected.negativeLogLikelihoods)
        }
      }
    }
  }

  @Test("a text is identified, and costs bits per byte")
  func text() throws {
    let folder = try TemporaryFolder()
    let model = try TinyModel.make(.uniform, in: folder)
    let result = try Self.evaluator(model).evaluate(
      text: "xyz xyz", named: "xyz.txt", protocol: .papers(context: 64))
    #expect(result.textName == "xyz.txt")
    #expect(result.textBytes == 7)
    // sha256sum of these seven bytes.
    #expect(
      result.textSHA256 == "cbbe951cd8b0c15ca1a21a55916a39f99ee2d15aacf972a02c88404127b385b0")
    // " ", x, y, z, " ", x, y, z; the first is not scored.
    #expect(result.textTokens == 8)
    #expect(result.tokensScored == 7)
    let bits = log2(Double(TinyModel.vocabularySize))
    #expect(abs((result.bitsPerByte ?? 0) - bits) < 1e-12)
  }

  @Test("progress counts windows; what it throws comes through")
  func progress() throws {
    let folder = try TemporaryFolder()
    let evaluator = try Self.evaluator(TinyModel.make(.uniform, in: folder))
    var seen: [[Int]] = []
    let windows = PerplexityProtocol.papers(context: 8)
    _ = try evaluator.evaluate(ids: Self.ids(25), protocol: windows) { seen.append([$0, $1]) }
    #expect(seen == [[1, 3], [2, 3], [3, 3]])
    struct Cancelled: Error {}
    #expect(throws: Cancelled.self) {
      try evaluator.evaluate(ids: Self.ids(25), protocol: windows) { _, _ in throw Cancelled() }
    }
  }

  @Test("what cannot be scored is an error")
  func errors() throws {
    let folder = try TemporaryFolder()
    let model = try TinyModel.make(.uniform, in: folder)
    let evaluator = try Self.evaluator(model)
    #expect(throws: EvaluationError.textTooShort(tokens: 0, minimum: 3)) {
      try evaluator.evaluate(text: "", protocol: .papers(context: 8))
    }
    #expect(throws: ModelError.contextTooLong(requested: 65, maximum: 64)) {
      try evaluator.evaluate(ids: Self.ids(100), protocol: .papers(context: 65))
    }
    // The last id is only looked up in the logits.
    #expect(throws: ModelError.unknownToken(id: 270, vocabularySize: 270)) {
      try evaluator.evaluate(ids: [1, 2, 3, 270], protocol: .papers(context: 4))
    }
    #expect(throws: ModelError.unknownToken(id: -1, vocabularySize: 270)) {
      try evaluator.evaluate(ids: [1, 2, 3, -1], protocol: .papers(context: 4))
    }
    let damaged = try TinyModel.make(.notFinite, in: folder, named: "damaged")
    #expect(
      throws: EvaluationError.notFinite(
        path: damaged.file.path.string, window: 0, position: 3)
    ) {
      try Self.evaluator(damaged).evaluate(
        ids: Self.ids(8), protocol: PerplexityProtocol(context: 8, stride: 8, firstScored: 4))
    }
  }

  @Test("decoding speed leaves an empty session")
  func decodeSpeed() throws {
    let folder = try TemporaryFolder()
    let model = try TinyModel.make(.uniform, in: folder)
    let session = try InferenceSession(model: model, threads: 1)
    #expect(try session.decodeSpeed(tokens: 1000) > 0)
    #expect(session.position == 0)
    #expect(throws: ModelError.noTokens) { try session.decodeSpeed(tokens: 0) }
  }
}
