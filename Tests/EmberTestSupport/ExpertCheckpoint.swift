import Foundation

/// The tiny mixtures of experts of `tools/fixtures/make_experts.py`.
public struct ExpertCheckpoint: Sendable, CustomStringConvertible {
  /// Of the folder.
  public let name: String

  public var description: String { name }

  /// Mixtral, Qwen2-MoE with its shared expert, Qwen3-MoE with norms of queries and keys; the last
  /// has the weights of the third in tensors that all experts of a layer share.
  public static let all = ["mixtral", "qwen2-moe", "qwen3-moe", "qwen3-moe-fused"].map {
    ExpertCheckpoint(name: $0)
  }

  private static let root = TestData.repository.appending(path: "Tests/fixtures/experts")

  /// Makes a folder as people download them: configuration, weights, tokenizer.
  public func write(to folder: URL) throws {
    let manager = FileManager.default
    try manager.createDirectory(at: folder, withIntermediateDirectories: true)
    for file in ["config.json", "model.safetensors"] {
      try manager.copyItem(
        at: Self.root.appending(path: "\(name)/\(file)"), to: folder.appending(path: file))
    }
    try manager.copyItem(
      at: Self.root.appending(path: "tokenizer.json"), to: folder.appending(path: "tokenizer.json"))
  }

  /// What transformers says of a text.
  public struct Reference: Sendable {
    public let ids: [Int32]
    /// The positions whose logits are known.
    public let positions: [Int]
    /// [positions][vocabulary], with keys and values rounded to halves.
    public let logits: [[Float]]
  }

  public func reference() throws -> Reference {
    struct Description: Decodable {
      let ids: [Int32]
      let positions: [Int]
      let vocabulary: Int
    }
    let name = name.replacing("-fused", with: "")
    func contents(_ file: String) throws -> Data {
      try Data(contentsOf: Self.root.appending(path: "\(name)/\(file)"))
    }
    let description = try JSONDecoder().decode(
      Description.self, from: contents("reference.json"))
    let bytes = [UInt8](try contents("reference.bin"))
    // The first half is without rounding.
    let first = description.positions.count
    let logits = (first..<2 * first).map { row in
      (0..<description.vocabulary).map { column in
        let at = 4 * (row * description.vocabulary + column)
        let word = (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[at + $1]) << UInt32(8 * $1) }
        return Float(bitPattern: word)
      }
    }
    return Reference(ids: description.ids, positions: description.positions, logits: logits)
  }
}
