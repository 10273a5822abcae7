import EmberModel

extension HuggingFaceArchitecture {
  /// Llama (Touvron et al. 2023), to version 3.2: grouped-query attention, rotary positions, scaled
  /// since 3.1, RMS norm, SwiGLU.
  static let llama = HuggingFaceArchitecture(name: "LlamaForCausalLM") {
    configuration throws(CheckpointError) in
    try configuration.require("sliding_window")
    let architecture = try descendantOfLlama("LlamaForCausalLM", configuration)
    var names = namesOfLlama
    if try configuration.boolean("attention_bias", default: false) {
      names.requireBiases(of: [.query, .key, .value, .attentionOutput])
    }
    if try configuration.boolean("mlp_bias", default: false) {
      names.requireBiases(of: [.gate, .up, .down])
    }
    return (architecture, names)
  }
}
