import EmberModel

extension HuggingFaceArchitecture {
  /// Qwen2 and Qwen2.5 (Yang et al. 2024): Llama with biases of query, key and value; a window only
  /// where one is asked for, in the later layers.
  static let qwen2 = HuggingFaceArchitecture(name: "Qwen2ForCausalLM") {
    configuration throws(CheckpointError) in
    var names = namesOfLlama
    names.requireBiases(of: [.query, .key, .value])
    return (try qwen("Qwen2ForCausalLM", configuration, sizes: [:]), names)
  }

  /// Qwen3 (Yang et al. 2025): norms of every head's query and key in place of the biases.
  static let qwen3 = HuggingFaceArchitecture(name: "Qwen3ForCausalLM") {
    configuration throws(CheckpointError) in
    var names = namesOfLlama
    names.norms[.query] = "self_attn.q_norm"
    names.norms[.key] = "self_attn.k_norm"
    if try configuration.boolean("attention_bias", default: false) {
      names.requireBiases(of: [.query, .key, .value, .attentionOutput])
    }
    return (try qwen("Qwen3ForCausalLM", configuration, sizes: ["head_dim": 128]), names)
  }

  static func qwen(
    _ name: String, _ configuration: HuggingFaceConfiguration, sizes: [String: Int]
  ) throws(CheckpointError) -> Architecture {
    let sizes = ["num_key_value_heads": 32].merging(sizes) { $1 }
    var architecture = try descendantOfLlama(name, configuration, sizes: sizes)
    let hasWindow = try configuration.boolean("use_sliding_window", default: false)
    let window =
      hasWindow ? try configuration.optionalCount("sliding_window", default: 4096) : nil
    // Zero is a true value of it: a window in all layers.
    let first =
      configuration.value("max_window_layers") == .integer(0)
      ? 0 : try configuration.count("max_window_layers", default: 28)
    try setWindow(window, of: &architecture, configuration) { $0 >= first }
    return architecture
  }
}
