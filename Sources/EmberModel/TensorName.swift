/// The names that tensors have inside a model file, whatever the checkpoint called them.
///
/// Matrices are [outputs, inputs]: row r holds the weights of output r. Vectors have one row.
public enum TensorName {
  /// [vocabularySize, width]
  public static let embedding = "embedding"
  /// [contextLength, width], learned positions only.
  public static let position = "position"
  /// [1, width], where the embedding is normalised; the bias for layer norm only.
  public static let embeddingNorm = "embedding_norm.weight"
  public static let embeddingNormBias = "embedding_norm.bias"
  /// [1, width]; `finalNormBias` for layer norm only. Absent where the stream is normalised already.
  public static let finalNorm = "final_norm.weight"
  public static let finalNormBias = "final_norm.bias"
  /// [vocabularySize, width], absent when the head is tied to the embedding.
  public static let head = "head"
  /// [1, vocabularySize], optional.
  public static let headBias = "head.bias"

  /// The matrices of one layer; each may have a bias beside it.
  public enum Matrix: String, CaseIterable, Sendable {
    /// [headCount · headDimension, width]
    case query = "attention.query"
    /// [keyValueHeadCount · headDimension, width]
    case key = "attention.key"
    /// [keyValueHeadCount · headDimension, width]
    case value = "attention.value"
    /// [width, headCount · headDimension]
    case attentionOutput = "attention.output"
    /// [experts, width], mixtures only.
    case router = "feed_forward.router"
    /// [feedForwardWidth, width], gated feed-forward only; of a mixture, this and the two below are
    /// the shared expert's.
    case gate = "feed_forward.gate"
    /// [feedForwardWidth, width]
    case up = "feed_forward.up"
    /// [width, feedForwardWidth]
    case down = "feed_forward.down"
    /// [1, width], shared experts only.
    case sharedGate = "feed_forward.shared_gate"
  }

  /// The matrices of one expert of a mixture.
  public enum ExpertMatrix: String, CaseIterable, Sendable {
    /// [experts' width, width]
    case gate
    /// [experts' width, width]
    case up
    /// [width, experts' width]
    case down
  }

  /// The norms of one layer; which of them there are says where the layer normalises.
  public enum Norm: String, CaseIterable, Sendable {
    /// Of what the block is given.
    case attention = "attention_norm"
    case feedForward = "feed_forward_norm"
    /// Of what the block adds to the stream.
    case attentionOutput = "attention_output_norm"
    case feedForwardOutput = "feed_forward_output_norm"
    /// Of the stream behind the block (Vaswani et al. 2017).
    case attentionSum = "attention_sum_norm"
    case feedForwardSum = "feed_forward_sum_norm"
    /// Of every head's query and key, [1, headDimension].
    case query = "attention.query_norm"
    case key = "attention.key_norm"
  }

  public static func weight(_ matrix: Matrix, layer: Int) -> String {
    "layers.\(layer).\(matrix.rawValue).weight"
  }
  public static func weight(_ matrix: ExpertMatrix, expert: Int, layer: Int) -> String {
    "layers.\(layer).feed_forward.experts.\(expert).\(matrix.rawValue).weight"
  }
  /// Which matrix of an expert has this name; nil where none has.
  package static func expertMatrix(_ name: String) -> ExpertMatrix? {
    let parts = name.split(separator: ".")
    guard parts.count == 7, parts[2] == "feed_forward", parts[3] == "experts",
      parts[6] == "weight"
    else { return nil }
    return ExpertMatrix(rawValue: String(parts[5]))
  }
  public static func bias(_ matrix: Matrix, layer: Int) -> String {
    "layers.\(layer).\(matrix.rawValue).bias"
  }
  public static func weight(_ norm: Norm, layer: Int) -> String {
    "layers.\(layer).\(norm.rawValue).weight"
  }
  public static func bias(_ norm: Norm, layer: Int) -> String {
    "layers.\(layer).\(norm.rawValue).bias"
  }
}
