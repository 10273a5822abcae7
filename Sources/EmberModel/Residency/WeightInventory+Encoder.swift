extension WeightInventory {
  /// The matrices that a source reads, in the order of their use.
  static func encoderNames(_ architecture: Architecture) -> [String] {
    guard let encoder = architecture.encoderArchitecture else { return [] }
    var names: [String] = []
    for layer in 0..<encoder.layerCount {
      for matrix in TensorName.Matrix.inOrderOfUse(encoder) {
        names.append(TensorName.encoder(TensorName.weight(matrix, layer: layer)))
      }
    }
    for layer in 0..<architecture.layerCount {
      for matrix in [TensorName.CrossMatrix.key, .value] {
        names.append(TensorName.weight(cross: matrix, layer: layer))
      }
    }
    return names
  }

  /// What a source reads, as a pass of its own; nil where there is no encoder.
  var encoder: WeightInventory? {
    encoderMatrices.isEmpty ? nil : WeightInventory(pass: encoderMatrices)
  }

  private init(pass matrices: [Matrix]) {
    self.matrices = matrices
    (encoderMatrices, experts) = ([], [])
    (usedExperts, expertsPerLayer) = (0, 0)
    (vectorBytes, tableBytes, tableRowBytes, descriptionBytes) = (0, 0, 0, 0)
  }
}
