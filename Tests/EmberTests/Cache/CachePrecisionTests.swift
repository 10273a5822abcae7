import Ember
import EmberTestSupport
import Testing

@Suite("The precisions of the key/value cache", .serialized)
struct CachePrecisionTests {
  private static func story() throws -> String {
    try String(contentsOfFile: TestData.bundled("models/novel-llama/story.txt"), encoding: .utf8)
  }

  @Test(
    "the same logits on any number of threads and in any chunks, beyond one piece of attention",
    arguments: CachePrecision.allCases)
  func invariance(precision: CachePrecision) throws {
    let converted = try ConvertedModel.bundled(bits: 4)
    let ids = Array(converted.tokenizer.encode(try Self.story()).prefix(300))
    func bits(threads: Int, chunk: Int) throws -> [UInt32] {
      let session = try InferenceSession(
        model: converted.model, threads: threads, chunkLength: chunk, cachePrecision: precision)
      return try session.append(ids).map(\.bitPattern)
    }
    let expected = try bits(threads: 1, chunk: 128)
    #expect(expected.allSatisfy { Float(bitPattern: $0).isFinite })
    for (threads, chunk) in [(1, 1), (2, 1), (5, 1), (2, 17), (3, 128), (2, 300)] {
      #expect(try bits(threads: threads, chunk: chunk) == expected, "\(threads) \(chunk)")
    }
  }

  @Test(
    "bytes of a key and a value of 64 dimensions, with a half as scale of 32",
    arguments: [
      (CachePrecision.half, 2 * 64, 2 * 64), (.int8, 64 + 4, 64 + 4),
      (.int8KeysInt4Values, 64 + 4, 32 + 4), (.int4, 32 + 4, 32 + 4),
    ])
  func bytes(precision: CachePrecision, key: Int, value: Int) throws {
    let converted = try ConvertedModel.bundled(bits: 4)
    let session = try InferenceSession(
      model: converted.model, contextLength: 128, threads: 1, cachePrecision: precision)
    #expect(session.cachePrecision == precision)
    // Three layers of two heads.
    #expect(session.cacheCapacityBytes == 3 * 2 * 128 * (key + value))
    #expect(session.cacheBytes == 0)
    _ = try session.append([1])
    // Memory is given in chunks of 64 positions.
    #expect(session.cacheBytes == session.cacheCapacityBytes / 2)
  }

  @Test("names say the bits of keys and of values")
  func names() {
    for precision in CachePrecision.allCases {
      let (key, value) = (precision.keyBits, precision.valueBits)
      #expect(precision.rawValue == (key == value ? "\(key)" : "\(key)/\(value)"))
      #expect(precision.bits == (key + value) / 2)
    }
  }

  @Test("what each precision may cost in perplexity")
  func perplexity() throws {
    let converted = try ConvertedModel.bundled(bits: 16)
    var windows = PerplexityProtocol.papers(context: 512)
    windows.maximumWindows = 8
    func perplexity(_ precision: CachePrecision) throws -> Double {
      try PerplexityEvaluator(
        model: converted.model, tokenizer: converted.tokenizer, cachePrecision: precision
      ).evaluate(text: try Self.story(), protocol: windows).perplexity
    }
    let half = try perplexity(.half)
    for (precision, bound) in [
      (CachePrecision.int8, 0.0005), (.int8KeysInt4Values, 0.005), (.int4, 0.015),
    ] {
      let coded = try perplexity(precision)
      #expect(half != coded)
      #expect(abs(relative(coded, to: half)) < bound, "\(precision): \(coded), \(half)")
    }
  }

  /// A value channel 64 times its neighbours takes the whole scale of its block.
  @Test(
    "value channels of emergent size: conversion levels them, at 16 bits too",
    .enabled(if: TestData.hasShared, "the twin models are not in the repository"))
  func emergentValues() throws {
    var windows = PerplexityProtocol.papers(context: 512)
    windows.maximumWindows = 4
    func loss(_ precision: CachePrecision, folding: Bool) throws -> Double {
      let converted = try ConvertedModel.shared(
        "novel-llama-features", bits: 16, folding: folding)
      let comparison = try ModelComparison(
        models: [converted.model], cachePrecisions: [.half, precision]
      ).compare(text: try Self.story(), protocol: windows)
      return relative(comparison.rows[1].perplexity, to: comparison.rows[0].perplexity)
    }
    #expect(try loss(.int8KeysInt4Values, folding: false) > 0.05)
    #expect(abs(try loss(.int8KeysInt4Values, folding: true)) < 0.005)
    #expect(abs(try loss(.int8, folding: true)) < 0.0005)
  }
}
