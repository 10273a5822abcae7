import Ember
import EmberTestSupport
import Testing

@Suite("The key/value cache in 16 and in 8 bits", .serialized)
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

  @Test("8 bits take about half of the memory")
  func bytes() throws {
    let converted = try ConvertedModel.bundled(bits: 4)
    func session(_ precision: CachePrecision) throws -> InferenceSession {
      try InferenceSession(
        model: converted.model, contextLength: 128, threads: 1, cachePrecision: precision)
    }
    let (half, int8) = (try session(.half), try session(.int8))
    #expect(half.cachePrecision == .half && int8.cachePrecision == .int8)
    // Three layers of two heads of 64 dimensions, keys and values; a scale for 32 codes.
    #expect(half.cacheCapacityBytes == 3 * 2 * 128 * 2 * 64 * 2)
    #expect(int8.cacheCapacityBytes == 3 * 2 * 128 * 2 * (64 + 2 * 2))
    #expect(int8.cacheBytes == 0)
    _ = try int8.append([1])
    // Memory is given in chunks of 64 positions.
    #expect(int8.cacheBytes == int8.cacheCapacityBytes / 2)
  }

  @Test("8 bits change the perplexity by less than 0.1 %")
  func perplexity() throws {
    let converted = try ConvertedModel.bundled(bits: 16)
    var windows = PerplexityProtocol.papers(context: 512)
    windows.maximumWindows = 8
    func perplexity(_ precision: CachePrecision) throws -> Double {
      try PerplexityEvaluator(
        model: converted.model, tokenizer: converted.tokenizer, cachePrecision: precision
      ).evaluate(text: try Self.story(), protocol: windows).perplexity
    }
    let (half, int8) = (try perplexity(.half), try perplexity(.int8))
    #expect(half != int8)
    #expect(abs(relative(int8, to: half)) < 1e-3, "\(int8), \(half)")
  }
}
