import Ember
import EmberTestSupport
import Foundation
import Synchronization

/// One of the checkpoints of `tools/fixtures/make_encoder_decoders.py`, and what transformers computes
/// with it in fp32.
struct EncoderDecoderFixture: Sendable, CustomStringConvertible {
  let name: String
  let expected: Expected

  var description: String { name }

  struct Expected: Decodable, Sendable {
    let source: [Int32]
    let target: [Int32]
    /// [source][width] and [target][vocabulary]
    let encoded: [Float]
    let logits: [Float]
    /// With the token that the text begins with.
    let greedy: [Int32]
    let texts: [Text]
    let answers: [Answer]
    let pairs: [Pair]
    let targets: [Text]?
    let buckets: [String: [Int]]?

    struct Text: Decodable, Sendable {
      let text: String
      let ids: [Int32]
    }
    struct Answer: Decodable, Sendable {
      let text: String
      let ids: [Int32]
      let answer: String
      /// Of three beams the best.
      let beams: [Int32]
    }
    struct Pair: Decodable, Sendable {
      let source: String
      let target: String
      let tokens: Int
      /// Nats per token.
      let loss: Double
    }
  }

  static let names = ["t5", "flan-t5", "marian"]
  static let root = TestData.repository.appending(path: "Tests/fixtures/encoder-decoders")
  private static let folder = ProcessFolder("encoder-decoders")
  private static let cache = Mutex<[String: LoadedModel]>([:])

  init(_ name: String) throws {
    self.name = name
    expected = try JSONDecoder().decode(
      Expected.self,
      from: Data(contentsOf: Self.root.appending(path: "\(name)/expected.json")))
  }

  var checkpoint: FilePath { FilePath(Self.root.appending(path: name).path) }

  /// The model file; once per test run and options.
  func converted(
    bits: Int = 16, _ options: QuantizationOptions? = nil, named suffix: String = ""
  ) throws -> LoadedModel {
    let key = "\(name)-\(bits)\(suffix)"
    return try Self.cache.withLock { cache in
      if let known = cache[key] { return known }
      let output = FilePath(Self.folder.url.appending(path: key).path)
      _ = try Converter(
        checkpoint: checkpoint, output: output,
        options: options ?? QuantizationOptions(bits: bits, tableBits: bits)
      ).run()
      let loaded = try LoadedModel(opening: output)
      cache[key] = loaded
      return loaded
    }
  }

  /// Logits after each token of the target, [target][vocabulary], the source computed before.
  func rows(_ session: InferenceSession, chunk: Int? = nil) throws -> [[Float]] {
    try session.encode(expected.source)
    var rows: [[Float]] = []
    let size = chunk ?? expected.target.count
    for first in stride(from: 0, to: expected.target.count, by: size) {
      let tokens = expected.target[first..<min(first + size, expected.target.count)]
      try session.append(Array(tokens)) { rows.append(Array($1)) }
    }
    return rows
  }

  static func largestDifference(_ a: [Float], _ b: [Float]) -> Float {
    zip(a, b).reduce(a.count == b.count ? 0 : .infinity) {
      let difference = abs($1.0 - $1.1)
      return difference <= $0 ? $0 : difference.isNaN ? .infinity : difference
    }
  }
}
