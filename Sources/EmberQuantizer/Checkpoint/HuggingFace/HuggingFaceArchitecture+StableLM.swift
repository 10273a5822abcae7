import EmberModel

extension HuggingFaceArchitecture {
  /// StableLM (Bellagente et al. 2024): Llama with layer norms, a quarter of a head rotated, biases of
  /// query, key and value in some, parallel blocks behind one norm in others.
  static let stableLM = HuggingFaceArchitecture(name: "StableLmForCausalLM") {
    configuration throws(CheckpointError) in
    try configuration.require("qk_layernorm", .boolean(false))
    var architecture = try descendantOfLlama(
      "StableLmForCausalLM", configuration, sizes: ["num_key_value_heads": 32],
      epsilonKey: "layer_norm_eps", epsilon: 1e-5, rotary: RotarySpelling(share: 0.25))
    architecture.norm.kind = .layer
    var names = namesOfLlama
    if try configuration.boolean("use_parallel_residual", default: false) {
      architecture.residual = .parallel
      names.norms[.feedForward] = names.norms[.attention]
    }
    if try configuration.boolean("use_qkv_bias", default: false) {
      names.requireBiases(of: [.query, .key, .value])
    }
    return (architecture, names)
  }
}
