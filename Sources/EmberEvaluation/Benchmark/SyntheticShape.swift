import EmberModel

/// The sizes of a model that only exists to be timed.
///
/// ```swift
/// let shape = try SyntheticShape(parsing: "1.1B")
/// let other = try SyntheticShape(parsing: "512x8x1408x8x4x32000x1024")
/// ```
///
/// The architecture is Llama's: RMS norms, rotary embedding, a gated feed-forward with SiLU, and a
/// head apart from the embedding; of some, with experts in place of the feed-forward block.
package struct SyntheticShape: Sendable, Equatable {
  package var width: Int
  package var layerCount: Int
  package var feedForwardWidth: Int
  package var headCount: Int
  package var keyValueHeadCount: Int
  package var vocabularySize: Int
  package var contextLength: Int
  package var experts: Architecture.Experts?

  /// What `parsing` takes, for help and errors.
  package static let syntax =
    "tiny, 1.1B, 7B, tiny-moe, 2.6B-moe or WIDTHxLAYERSxFFN[xHEADS[xKVHEADS[xVOCABULARY[xCONTEXT]]]]"

  /// Shapes with a name: that of TinyLlama 1.1B, of Llama 2 7B, and one for tests; mixtures of 64
  /// experts and of 8.
  package static let named: [(name: String, shape: SyntheticShape)] = [
    ("tiny", SyntheticShape([64, 2, 192, 4, 2, 512, 256])),
    ("1.1B", SyntheticShape([2048, 22, 5632, 32, 4, 32_000, 2048])),
    ("7B", SyntheticShape([4096, 32, 11_008, 32, 32, 32_000, 4096])),
    ("tiny-moe", SyntheticShape([64, 2, 64, 4, 2, 512, 256], experts: 8, used: 2)),
    ("2.6B-moe", SyntheticShape([1024, 16, 768, 16, 4, 32_000, 2048], experts: 64, used: 8)),
  ]

  /// The same, with experts of that feed-forward width.
  private init(_ sizes: [Int], experts: Int, used: Int) {
    self.init(sizes)
    self.experts = .init(count: experts, used: used, width: sizes[2], normalizes: true)
  }

  /// In the order of `syntax`; exactly seven.
  private init(_ sizes: [Int]) {
    width = sizes[0]
    layerCount = sizes[1]
    feedForwardWidth = sizes[2]
    headCount = sizes[3]
    keyValueHeadCount = sizes[4]
    vocabularySize = sizes[5]
    contextLength = sizes[6]
  }

  /// A name, or sizes: heads have 64 dimensions unless told otherwise, share nothing, and the
  /// vocabulary is 32,000 and the context 2048.
  ///
  /// - Throws: `EvaluationError.invalidBenchmark`
  package init(parsing text: String) throws(EvaluationError) {
    if let known = Self.named.first(where: { $0.name.lowercased() == text.lowercased() }) {
      self = known.shape
      return
    }
    let parts = text.lowercased().split(separator: "x", omittingEmptySubsequences: false)
    var sizes = parts.compactMap { Int($0) }
    guard sizes.count == parts.count, (3...7).contains(sizes.count) else {
      throw Self.error(expected: Self.syntax, found: text)
    }
    if sizes.count < 4 { sizes.append(max(1, sizes[0] / 64)) }
    if sizes.count < 5 { sizes.append(sizes[3]) }
    if sizes.count < 6 { sizes.append(32_000) }
    if sizes.count < 7 { sizes.append(2048) }
    self.init(sizes)
    try check(text)
  }

  private static func error(expected: String, found: String) -> EvaluationError {
    .invalidBenchmark(field: "--synthetic", expected: expected, found: found)
  }

  /// Sizes that no model can have, and those that would need padding, which random weights do not
  /// have.
  private func check(_ text: String) throws(EvaluationError) {
    for (name, value, unit) in [
      ("a width", width, 64), ("a feed-forward width", feedForwardWidth, 64),
      ("a vocabulary", vocabularySize, 16),
    ] where value < 1 || value % unit != 0 {
      throw Self.error(
        expected: "\(name) that is a multiple of \(unit)", found: "\(value) in \(text)")
    }
    guard headCount >= 1, width % headCount == 0, width / headCount % 16 == 0 else {
      throw Self.error(
        expected: "heads whose dimension is a multiple of 16",
        found: "\(headCount) heads of a width of \(width) in \(text)")
    }
    if vocabularySize < SyntheticModel.tokenCount {
      throw Self.error(
        expected: "a vocabulary of at least \(SyntheticModel.tokenCount)",
        found: "\(vocabularySize) in \(text)")
    }
    if let problem = architecture.inconsistency {
      throw Self.error(expected: "a model that can be", found: "\(text): \(problem)")
    }
  }

  package var architecture: Architecture {
    Architecture(
      name: experts == nil ? "LlamaForCausalLM" : "Qwen3MoeForCausalLM",
      vocabularySize: vocabularySize, width: width,
      layerCount: layerCount, feedForwardWidth: feedForwardWidth, contextLength: contextLength,
      norm: .init(kind: .rootMeanSquare, epsilon: 1e-5),
      position: .rotary(base: 10_000, dimensions: width / headCount, pairing: .halves),
      attention: .init(
        headCount: headCount, keyValueHeadCount: keyValueHeadCount,
        headDimension: width / headCount),
      feedForward: .init(kind: .gated, activation: .silu, experts: experts), tiedHead: false)
  }

  /// Rows and columns of a layer's matrix.
  func size(of matrix: TensorName.Matrix) -> (rows: Int, columns: Int) {
    let keyWidth = keyValueHeadCount * (width / headCount)
    return switch matrix {
    case .query, .attentionOutput: (width, width)
    case .key, .value: (keyWidth, width)
    case .gate, .up: (feedForwardWidth, width)
    case .down: (width, feedForwardWidth)
    case .router: (experts?.count ?? 0, width)
    case .sharedGate: (1, width)
    }
  }
  /// The same of an expert's.
  func size(of matrix: TensorName.ExpertMatrix) -> (rows: Int, columns: Int) {
    size(of: matrix == .down ? TensorName.Matrix.down : .up)
  }
}
