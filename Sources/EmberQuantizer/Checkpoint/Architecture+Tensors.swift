import EmberModel

extension Architecture {
  /// The matrices of each layer, in the order of a model file; experts' come behind them.
  var layerMatrices: [TensorName.Matrix] {
    TensorName.Matrix.allCases.filter { has($0) }
  }

  /// The rows of a matrix: its outputs.
  func outputs(of matrix: TensorName.Matrix) -> Int {
    switch matrix {
    case .query: attention.headCount * attention.headDimension
    case .key, .value: attention.keyValueHeadCount * attention.headDimension
    case .attentionOutput, .down: width
    case .gate, .up: feedForwardWidth
    case .router: feedForward.experts?.count ?? 0
    case .sharedGate: 1
    }
  }

  /// The columns of a matrix: its inputs.
  func inputs(of matrix: TensorName.Matrix) -> Int {
    switch matrix {
    case .query, .key, .value, .router, .gate, .up, .sharedGate: width
    case .attentionOutput: attention.headCount * attention.headDimension
    case .down: feedForwardWidth
    }
  }
}
