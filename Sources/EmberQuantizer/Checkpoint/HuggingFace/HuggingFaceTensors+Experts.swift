import EmberModel

extension TensorNameMap {
  /// What a checkpoint calls the experts of a layer.
  ///
  /// Either each expert has tensors of its own, such as `mlp.experts.7.gate_proj.weight`, or all of
  /// them share two: `mlp.experts.gate_up_proj` [experts, 2 · inner width, width], the gate's outputs
  /// before those of up, and `mlp.experts.down_proj` [experts, width, inner width]; or three, of the
  /// names in `stacked`.
  struct ExpertNames: Sendable {
    /// What stands before an expert's number, such as `mlp.experts`.
    var stem: String
    var matrices: [TensorName.ExpertMatrix: String]
    /// Behind the stem, where all experts share them.
    var sharedGateUp = "gate_up_proj"
    var sharedDown = "down_proj"
    /// Of all experts' matrices of a kind in one: [experts, outputs, inputs].
    var stacked: [TensorName.ExpertMatrix: String] = [:]
  }
}

extension HuggingFaceTensors {
  /// Adds the experts of a layer, one after the other: what is read together lies together.
  mutating func collectExperts(layer: Int, stem: String) throws(CheckpointError) {
    guard let shape = architecture.feedForward.experts, let names = names.experts else { return }
    let isFused = weights["\(stem)\(names.stem).\(names.sharedGateUp)"] != nil
    for expert in 0..<shape.count {
      for matrix in TensorName.ExpertMatrix.allCases {
        let name = TensorName.weight(matrix, expert: expert, layer: layer)
        let (rows, columns) =
          matrix == .down
          ? (architecture.width, shape.width) : (shape.width, architecture.width)
        if let stacked = names.stacked[matrix] {
          try add(
            name, stored: "\(stem)\(stacked).weight", rows: rows, columns: columns,
            shape: [shape.count, rows, columns], order: .outputsByInputs,
            firstOutput: expert * rows)
        } else if isFused {
          let outputs = matrix == .down ? rows : 2 * rows
          let shared = matrix == .down ? names.sharedDown : names.sharedGateUp
          try add(
            name, stored: "\(stem)\(names.stem).\(shared)", rows: rows, columns: columns,
            shape: [shape.count, outputs, columns], order: .outputsByInputs,
            firstOutput: expert * outputs + (matrix == .up ? rows : 0))
        } else {
          guard let own = names.matrices[matrix] else { continue }
          try add(
            name, stored: "\(stem)\(names.stem).\(expert).\(own).weight", rows: rows,
            columns: columns, shape: [rows, columns], order: .outputsByInputs, firstOutput: 0)
        }
      }
    }
  }
}
