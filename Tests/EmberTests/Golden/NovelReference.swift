import Foundation

/// What an independent implementation (transformers, fp32) says of one model.
struct NovelReference: Decodable {
  struct Prompt: Decodable {
    let prompt: String
    let ids: [Int32]
    let top20_ids: [Int]
    let top20_logits: [Double]
    let greedy_ids: [Int32]
    let greedy_text: String
    let smallest_top2_gap: Double
  }
  let tokens_in_text: Int
  let first_20_ids: [Int32]
  let prompts: [Prompt]
  let full: [String: Double]

  enum CodingKeys: String, CodingKey {
    case tokens_in_text, first_20_ids, prompts
    case full = "fp16 weights, fp32 arithmetic"
  }

  /// - Parameter path: of a `reference.json`.
  static func read(_ path: String) throws -> NovelReference {
    try JSONDecoder().decode(NovelReference.self, from: Data(contentsOf: URL(filePath: path)))
  }
}
