import EmberFormat
import EmberModel

/// One way to store a tensor, and how much it adds to the KL divergence of the model, in nats.
struct TypeChoice {
  var layout: TensorLayout
  var divergence: Double
}

/// The types that a conversion within a target of bits chose for its tensors.
struct TypeAssignment {
  /// Of every matrix, by its name.
  var types: [String: BlockType]
  /// What the mix is expected to cost against fp16 weights, in nats per token of the probe.
  var divergence: Double

  /// The integer precision of most weights of the layers' matrices.
  func bits(of tensors: [CheckpointTensor]) -> Int {
    var weights: [BlockType: Int] = [:]
    for tensor in tensors where tensor.name.hasPrefix("layers.") {
      if let type = types[tensor.name] { weights[type, default: 0] += tensor.rows * tensor.columns }
    }
    let most = weights.max { ($0.value, $1.key.rawValue) < ($1.value, $0.key.rawValue) }
    return most?.key.bits ?? 16
  }

  /// The same of the embedding table.
  var tableBits: Int { types[TensorName.embedding]?.bits ?? 16 }
}

extension BlockType {
  /// Bits of a weight's code, without scales.
  fileprivate var bits: Int {
    switch self {
    case .q4, .q4n: 4
    case .q5: 5
    case .q6: 6
    case .q8: 8
    case .f16: 16
    case .f32: 32
    }
  }
}
