package import EmberKernels

extension Weights {
  /// The experts of a layer, and what chooses among them.
  package struct Mixture: @unchecked Sendable {
    // Sendable because the memory behind it is never written.

    /// [experts, width]
    package internal(set) var router: Linear
    /// [1, width], where there is a shared expert.
    package internal(set) var sharedGate: Linear?
    package let experts: [Expert]
    /// Of them, those that a token is given to.
    package let used: Int

    /// Whether any expert takes int8 activations.
    var quantizesInputs: Bool {
      experts.contains { $0.gate.type != .f16 || $0.up.type != .f16 }
    }

    /// Bytes of the experts that a token is given to: all have the same shapes, and rarely other
    /// types.
    var expertBytesPerToken: Int {
      experts.reduce(0) { $0 + $1.byteCount } * used / max(1, experts.count)
    }
  }

  /// down(activation(gate · x) ⊙ (up · x))
  package struct Expert: @unchecked Sendable {
    // Sendable because the memory behind it is never written.

    package let gate, up, down: Matrix

    var byteCount: Int { gate.byteCount + up.byteCount + down.byteCount }
  }
}

extension Weights.Linear {
  /// The place of a block that a layer does not have.
  static let nothing: Weights.Linear = {
    // 64 bytes that are never read and never given back.
    let place = UnsafeMutableRawPointer.allocate(byteCount: 64, alignment: 64)
    return Weights.Linear(
      weight: Matrix(
        type: .f16, rows: 0, columns: 0, outlierSteps: 0, data: UnsafeRawPointer(place)),
      bias: nil)
  }()
}

extension Weights.Mixture {
  /// That of layer `index`; nil where the model has none.
  init?<Source: WeightSource>(
    _ index: Int, of a: Architecture, from source: Source
  ) throws(Source.Failure) {
    guard let shape = a.feedForward.experts else { return nil }
    func matrix(
      _ matrix: TensorName.ExpertMatrix, _ expert: Int, _ rows: Int, _ columns: Int
    ) throws(Source.Failure) -> Matrix {
      try source.matrix(
        TensorName.weight(matrix, expert: expert, layer: index), rows: rows, columns: columns)
    }
    func linear(
      _ matrix: TensorName.Matrix, rows: Int
    ) throws(Source.Failure) -> Weights.Linear {
      Weights.Linear(
        weight: try source.matrix(
          TensorName.weight(matrix, layer: index), rows: rows, columns: a.width), bias: nil)
    }
    router = try linear(.router, rows: shape.count)
    sharedGate = shape.sharedWidth == nil ? nil : try linear(.sharedGate, rows: 1)
    var experts: [Weights.Expert] = []
    for j in 0..<shape.count {
      experts.append(
        Weights.Expert(
          gate: try matrix(.gate, j, shape.width, a.width),
          up: try matrix(.up, j, shape.width, a.width),
          down: try matrix(.down, j, a.width, shape.width)))
    }
    self.experts = experts
    used = shape.used
  }
}
