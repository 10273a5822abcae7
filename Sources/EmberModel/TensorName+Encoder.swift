extension TensorName {
  /// [1, buckets · headCount], the heads of a bucket together; relative biases only. One serves all
  /// layers.
  public static let relativeBias = "relative_bias"

  /// The matrices of a decoder layer's attention to the source; each may have a bias beside it.
  public enum CrossMatrix: String, CaseIterable, Sendable {
    /// [headCount · headDimension, width]
    case query = "cross_attention.query"
    /// [keyValueHeadCount · headDimension, width]
    case key = "cross_attention.key"
    /// [keyValueHeadCount · headDimension, width]
    case value = "cross_attention.value"
    /// [width, headCount · headDimension]
    case output = "cross_attention.output"
  }

  /// The norms of that block: of what it is given, of the stream behind it.
  public enum CrossNorm: String, CaseIterable, Sendable {
    case attention = "cross_attention_norm"
    case sum = "cross_attention_sum_norm"
  }

  public static func weight(cross matrix: CrossMatrix, layer: Int) -> String {
    "layers.\(layer).\(matrix.rawValue).weight"
  }
  public static func bias(cross matrix: CrossMatrix, layer: Int) -> String {
    "layers.\(layer).\(matrix.rawValue).bias"
  }
  public static func weight(crossNorm norm: CrossNorm, layer: Int) -> String {
    "layers.\(layer).\(norm.rawValue).weight"
  }
  public static func bias(crossNorm norm: CrossNorm, layer: Int) -> String {
    "layers.\(layer).\(norm.rawValue).bias"
  }

  /// The name of an encoder's tensor, from what the decoder's is called.
  public static func encoder(_ name: String) -> String { encoderPrefix + name }

  package static let encoderPrefix = "encoder."
}
