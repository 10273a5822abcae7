import EmberModel

extension HuggingFaceArchitecture {
  /// Mistral (Jiang et al. 2023): Llama with a window in all layers, or none (version 0.2 and later).
  static let mistral = HuggingFaceArchitecture(name: "MistralForCausalLM") {
    configuration throws(CheckpointError) in
    // transformers does not heed it either, but warns: such a file means another architecture.
    try configuration.require("layer_types")
    var architecture = try descendantOfLlama(
      "MistralForCausalLM", configuration, sizes: ["num_key_value_heads": 8])
    architecture.attention.window = try configuration.optionalCount("sliding_window", default: 4096)
    return (architecture, namesOfLlama)
  }
}
