import EmberModel

extension HuggingFaceArchitecture {
  /// Phi-3, 3.5 and 4-mini (Abdin et al. 2024): Llama with fused matrices, LongRoPE, a window in some.
  static let phi3 = HuggingFaceArchitecture(name: "Phi3ForCausalLM") {
    configuration throws(CheckpointError) in
    // transformers' configuration class takes "yarn" for LongRoPE; nobody else does.
    var architecture = try descendantOfLlama(
      "Phi3ForCausalLM", configuration, epsilon: 1e-5,
      rotary: RotarySpelling(originalContext: 4096, scalings: ["longrope", "su"]))
    architecture.attention.window = try configuration.optionalCount("sliding_window", default: nil)
    var names = namesOfLlama
    let fused: [TensorName.Matrix] = [.query, .key, .value]
    for matrix in fused {
      names.matrices[matrix] = .init(stem: "self_attn.qkv_proj", fused: fused)
    }
    for matrix in [TensorName.Matrix.gate, .up] {
      names.matrices[matrix] = .init(stem: "mlp.gate_up_proj", fused: [.gate, .up])
    }
    return (architecture, names)
  }

  /// Phi-1, 1.5 and 2 (Li et al. 2023): parallel blocks behind one norm, half of a head rotated.
  static let phi = HuggingFaceArchitecture(name: "PhiForCausalLM") {
    configuration throws(CheckpointError) in
    try configuration.require("qk_layernorm", .boolean(false))
    var architecture = try descendantOfLlama(
      "PhiForCausalLM", configuration, epsilonKey: "layer_norm_eps", epsilon: 1e-5,
      activation: "gelu_new", rotary: RotarySpelling(share: 0.5))
    architecture.norm.kind = .layer
    architecture.feedForward.kind = .plain
    architecture.residual = .parallel
    var names = namesOfLlama
    names.norms = [.attention: "input_layernorm", .feedForward: "input_layernorm"]
    names.matrices[.attentionOutput] = .init(stem: "self_attn.dense")
    names.matrices[.up] = .init(stem: "mlp.fc1")
    names.matrices[.down] = .init(stem: "mlp.fc2")
    names.matrices[.gate] = nil
    names.requireBiases(of: TensorName.Matrix.allCases)
    names.finalNorm = "final_layernorm"
    names.headBias = .required
    return (architecture, names)
  }
}
