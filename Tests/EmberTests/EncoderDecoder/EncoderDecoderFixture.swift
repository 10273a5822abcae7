import Ember
import EmberKernels
import EmberTestSupport
import Foundation
import Synchronization

/// One of the checkpoints of `tools/fixtures/make_encoder_decoders.py`, and what transformers computes
/// with it in fp32; what it says of keys and values as halves is in `reference`.
struct EncoderDecoderFixture: Sendable, CustomStringConvertible {
  let name: String
  let expected: Expected

  var description: String { name }

  struct Expected: Decodable, Sendable {
    let source: [Int32]
    let target: [Int32]
    /// Those that are compared.
    let sourcePositions: [Int]
    let targetPositions: [Int]
    /// With the token that the text begins with; of the first so many tokens of the source.
    let greedy: [Int32]
    let greedyLength: Int
    let texts: [Text]
    let answers: [Answer]
    let pairs: [Pair]
    let targets: [Text]?
    let buckets: [String: [Int]]?

    enum CodingKeys: String, CodingKey {
      case source, target, greedy, texts, answers, pairs, targets, buckets
      case sourcePositions = "source_positions"
      case targetPositions = "target_positions"
      case greedyLength = "greedy_length"
    }

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
      /// Nats per token; then with keys and values rounded as a cache of halves does.
      let loss: Double
      let lossOfHalves: Double

      enum CodingKeys: String, CodingKey {
        case source, target, tokens, loss
        case lossOfHalves = "loss_of_halves"
      }
    }
  }

  static let names = ["t5", "flan-t5", "marian"]
  static let root = TestData.repository.appending(path: "Tests/fixtures/encoder-decoders")
  private static let folder = ProcessFolder("encoder-decoders")
  private static let cache = Mutex<[String: Conversion]>([:])

  /// What people call the models.
  var title: String {
    ["t5": "T5", "flan-t5": "T5 1.1, Flan-T5: gated, untied"][name] ?? "Marian, OPUS-MT"
  }

  struct Conversion: Sendable {
    let loaded: LoadedModel
    let warnings: [String]
  }

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
  ) throws -> LoadedModel { try conversion(bits: bits, options, named: suffix).loaded }

  func conversion(
    bits: Int = 16, _ options: QuantizationOptions? = nil, named suffix: String = ""
  ) throws -> Conversion {
    let key = "\(name)-\(bits)\(suffix)"
    return try Self.cache.withLock { cache in
      if let known = cache[key] { return known }
      let output = FilePath(Self.folder.url.appending(path: key).path)
      var exact = QuantizationOptions(bits: bits, tableBits: bits)
      // Powers of two change no logits, but the last bits of what the cache rounds.
      exact.foldsEmergentColumns = false
      let summary = try Converter(
        checkpoint: checkpoint, output: output, options: options ?? exact
      ).run()
      let conversion = Conversion(
        loaded: try LoadedModel(opening: output), warnings: summary.warnings)
      cache[key] = conversion
      return conversion
    }
  }

  /// The encoder's output, [source][width].
  func encoded(_ session: InferenceSession) throws -> [[Float]] {
    var rows: [[Float]] = []
    try session.encode(expected.source) { vectors in
      for t in 0..<vectors.tokens {
        rows.append(
          Array(UnsafeBufferPointer(start: vectors.vector(t), count: vectors.columns)))
      }
    }
    return rows
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
}
