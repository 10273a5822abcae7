import EmberKernels

/// Norms, and the codes of what comes out of them.
extension ForwardPass {
  /// normed = norm(stream), quantized.
  func normalise(_ norm: Weights.Norm?, _ worker: inout ThreadTeam.Worker) {
    let normed = scratch.normed
    worker.phase(pieces: normed.tileCount) { tile in
      for t in normed.tokenRange(ofTile: tile) {
        normalise(norm, scratch.stream(t), into: normed.vector(t))
      }
      if scratch.quantizesInputs { normed.quantize(tile: tile, kernels: kernels) }
    }
  }

  /// output = norm(input), which may be the same place; a copy where there is no norm.
  func normalise(
    _ norm: Weights.Norm?, _ input: UnsafePointer<Float>, into output: UnsafeMutablePointer<Float>
  ) {
    normalise(norm, input, count: architecture.width, into: output)
  }

  /// The same for a vector of another length.
  func normalise(
    _ norm: Weights.Norm?, _ input: UnsafePointer<Float>, count: Int,
    into output: UnsafeMutablePointer<Float>
  ) {
    guard let norm else { return output.update(from: input, count: count) }
    let epsilon = architecture.norm.epsilon
    switch architecture.norm.kind {
    case .rootMeanSquare: kernels.table.rms_norm(input, norm.gain, epsilon, count, output)
    case .layer: kernels.table.layer_norm(input, norm.gain, norm.bias, epsilon, count, output)
    }
  }

  /// Codes of inputs, where the matrix takes codes.
  func quantize(
    _ inputs: Activations, for matrix: Matrix, _ worker: inout ThreadTeam.Worker
  ) {
    if matrix.type == .f16 { return }
    worker.phase(pieces: inputs.tileCount) { inputs.quantize(tile: $0, kernels: kernels) }
  }
}
