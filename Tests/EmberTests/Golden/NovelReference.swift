import Foundation

/// What an independent implementation (transformers, fp32) says of one model.
struct NovelReference: Decodable {
  struct Prompt: Decodable {
    let prompt: String
    let ids: [Int32]
    let topIDs: [Int]
    let topLogits: [Double]
    let greedyIDs: [Int32]
    let greedyText: String
    /// Between the best and the second logit on the way; where it is small, rounding may decide.
    let smallestGap: Double

    enum CodingKeys: String, CodingKey {
      case prompt, ids
      case topIDs = "top20_ids"
      case topLogits = "top20_logits"
      case greedyIDs = "greedy_ids"
      case greedyText = "greedy_text"
      case smallestGap = "smallest_top2_gap"
    }
  }
  let prompts: [Prompt]
  /// Perplexity by protocol.
  let full: [String: Double]

  enum CodingKeys: String, CodingKey {
    case prompts
    case full = "fp16 weights, fp32 arithmetic"
  }

  /// - Parameter path: of a `reference.json`.
  static func read(_ path: String) throws -> NovelReference {
    try JSONDecoder().decode(NovelReference.self, from: Data(contentsOf: URL(filePath: path)))
  }
}
