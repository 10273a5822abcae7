import EmberModel

extension HuggingFaceArchitecture {
  /// StarCoder2 (Lozhkov et al. 2024): Llama with layer norms, a plain feed-forward block with GELU,
  /// biases everywhere, a window in all layers.
  static let starcoder2 = HuggingFaceArchitecture(name: "Starcoder2ForCausalLM") {
    configuration throws(CheckpointError) in
    try configuration.require("norm_type", .string("layer_norm"))
    try configuration.require("mlp_type", .string("default"))
    var architecture = try descendantOfLlama(
      "Starcoder2ForCausalLM", configuration, sizes: ["num_key_value_heads": 2],
      epsilonKey: "norm_epsilon", epsilon: 1e-5, tiedHead: true, activation: "gelu_pytorch_tanh")
    architecture.norm.kind = .layer
    architecture.feedForward.kind = .plain
    architecture.attention.window = try configuration.optionalCount("sliding_window", default: nil)
    var names = namesOfLlama
    names.matrices[.up] = .init(stem: "mlp.c_fc")
    names.matrices[.down] = .init(stem: "mlp.c_proj")
    names.matrices[.gate] = nil
    if try configuration.boolean("use_bias", default: true) {
      names.requireBiases(of: TensorName.Matrix.allCases)
    }
    return (architecture, names)
  }
}
