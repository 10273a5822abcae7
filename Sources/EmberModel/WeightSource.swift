package import EmberKernels

/// Where tensors are found by their names: a model file, or a checkpoint's layer in memory.
///
/// The source keeps the memory behind what it returns alive.
package protocol WeightSource {
  associatedtype Failure: Error

  /// A matrix of exactly this shape.
  func matrix(_ name: String, rows: Int, columns: Int) throws(Failure) -> Matrix
  /// A vector of exactly this length, [count].
  func vector(_ name: String, count: Int) throws(Failure) -> UnsafePointer<Float>
  /// The same, or nil where the model has none of this name.
  func optionalVector(_ name: String, count: Int) throws(Failure) -> UnsafePointer<Float>?
}

extension Weights.Norm {
  /// A norm over the width of the stream, or another one; nil where the model has none of this name.
  package init?<Source: WeightSource>(
    _ weight: String, bias: String, of architecture: Architecture, count: Int? = nil,
    from source: Source
  ) throws(Source.Failure) {
    let count = count ?? architecture.width
    guard let gain = try source.optionalVector(weight, count: count) else { return nil }
    self.gain = gain
    self.bias =
      architecture.norm.kind == .layer ? try source.optionalVector(bias, count: count) : nil
  }
}

extension Weights.Layer {
  /// Layer `index` of a model.
  package init<Source: WeightSource>(
    _ index: Int, of a: Architecture, from source: Source
  ) throws(Source.Failure) {
    let queryWidth = a.attention.headCount * a.attention.headDimension
    let keyWidth = a.attention.keyValueHeadCount * a.attention.headDimension
    func norm(
      _ norm: TensorName.Norm, count: Int? = nil
    ) throws(Source.Failure) -> Weights.Norm? {
      try Weights.Norm(
        TensorName.weight(norm, layer: index), bias: TensorName.bias(norm, layer: index), of: a,
        count: count, from: source)
    }
    func linear(
      _ matrix: TensorName.Matrix, _ rows: Int, _ columns: Int
    ) throws(Source.Failure) -> Weights.Linear {
      Weights.Linear(
        weight: try source.matrix(
          TensorName.weight(matrix, layer: index), rows: rows, columns: columns),
        bias: try source.optionalVector(TensorName.bias(matrix, layer: index), count: rows))
    }
    self.init(
      isLocal: a.isLocal(layer: index),
      attentionNorm: try norm(.attention),
      query: try linear(.query, queryWidth, a.width),
      key: try linear(.key, keyWidth, a.width),
      value: try linear(.value, keyWidth, a.width),
      queryNorm: try norm(.query, count: a.attention.headDimension),
      keyNorm: try norm(.key, count: a.attention.headDimension),
      attentionOutput: try linear(.attentionOutput, a.width, queryWidth),
      attentionOutputNorm: try norm(.attentionOutput),
      attentionSumNorm: try norm(.attentionSum),
      feedForwardNorm: try norm(.feedForward),
      gate: a.has(.gate) ? try linear(.gate, a.feedForwardWidth, a.width) : nil,
      up: a.has(.up) ? try linear(.up, a.feedForwardWidth, a.width) : .nothing,
      down: a.has(.down) ? try linear(.down, a.width, a.feedForwardWidth) : .nothing,
      mixture: try Weights.Mixture(index, of: a, from: source),
      feedForwardOutputNorm: try norm(.feedForwardOutput),
      feedForwardSumNorm: try norm(.feedForwardSum))
  }
}
