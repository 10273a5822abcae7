import EmberTestSupport
import Foundation

/// What transformers makes of the same logits: `tools/fixtures/make_decoding_vectors.py`.
struct DecodingFixtures: Decodable {
  let processors: [ProcessorCase]
  let tables: [Table]
  let novelGPT2: NovelGPT2

  struct ProcessorCase: Decodable {
    let logits: [Float]
    let history: [Int32]
    let processed: [Processed]
    let kept: [Kept]
  }

  struct Processed: Decodable {
    let name: String
    let value: Float
    let forbidden: [Int]
    /// 0 for those that are forbidden.
    let logits: [Float]
  }

  struct Kept: Decodable {
    let name: String
    let value: Float
    let temperature: Float
    let ids: [Int32]
    let probabilities: [Double]
  }

  struct Table: Decodable {
    /// Logits after each token.
    let table: [[Float]]
    let prompt: [Int32]
    let ends: [Int32]
    let runs: [Run]
  }

  struct Run: Decodable {
    var prompt: String?
    let numBeams: Int
    var lengthPenalty: Double?
    var earlyStopping: String?
    let maxNewTokens: Int
    var numReturnSequences: Int?
    var repetitionPenalty: Float?
    var noRepeatNgramSize: Int?
    let ids: [[Int32]]
    let scores: [Double]
  }

  struct Contrastive: Decodable {
    let prompt: String
    let topK: Int
    let alpha: Double
    let ids: [Int32]
    let smallestGap: Double
  }

  struct NovelGPT2: Decodable {
    let beams: [Run]
    let contrastive: [Contrastive]
  }

  enum CodingKeys: String, CodingKey {
    case processors, tables
    case novelGPT2 = "novelGpt2"
  }

  static func load() throws -> DecodingFixtures {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    let path = TestData.bundled("Tests/fixtures/decoding.json")
    return try decoder.decode(Self.self, from: Data(contentsOf: URL(filePath: path)))
  }
}
