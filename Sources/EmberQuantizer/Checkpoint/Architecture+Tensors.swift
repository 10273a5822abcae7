import EmberModel

extension Architecture {
  /// The matrices of each layer, in the order of a model file.
  var layerMatrices: [TensorName.Matrix] {
    switch feedForward.kind {
    case .gated: TensorName.Matrix.allCases
    case .plain: TensorName.Matrix.allCases.filter { $0 != .gate }
    }
  }

  /// The rows of a matrix: its outputs.
  func outputs(of matrix: TensorName.Matrix) -> Int {
    switch matrix {
    case .query: attention.headCount * attention.headDimension
    case .key, .value: attention.keyValueHeadCount * attention.headDimension
    case .attentionOutput, .down: width
    case .gate, .up: feedForwardWidth
    }
  }

  /// The columns of a matrix: its inputs.
  func inputs(of matrix: TensorName.Matrix) -> Int {
    switch matrix {
    case .query, .key, .value, .gate, .up: width
    case .attentionOutput: attention.headCount * attention.headDimension
    case .down: feedForwardWidth
    }
  }
}
