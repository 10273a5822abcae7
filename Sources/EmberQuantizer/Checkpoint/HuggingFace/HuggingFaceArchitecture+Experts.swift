import EmberModel

// Mixtures of experts.
extension HuggingFaceArchitecture {
  /// Mixtral (Jiang et al. 2024): Mistral, with experts in place of the feed-forward block.
  static let mixtral = HuggingFaceArchitecture(name: "MixtralForCausalLM") {
    configuration throws(CheckpointError) in
    var architecture = try descendantOfLlama(
      "MixtralForCausalLM", configuration, sizes: ["num_key_value_heads": 8], epsilon: 1e-5)
    architecture.attention.window = try configuration.optionalCount("sliding_window", default: nil)
    architecture.feedForward.experts = .init(
      count: try configuration.count("num_local_experts", default: 8),
      used: try configuration.count("num_experts_per_tok", default: 2),
      width: architecture.feedForwardWidth, normalizes: true)
    var names = namesOfLlama
    names.matrices[.router] = .init(stem: "block_sparse_moe.gate")
    names.experts = .init(
      stem: "block_sparse_moe.experts", matrices: [.gate: "w1", .up: "w3", .down: "w2"])
    return (architecture, names)
  }

  /// Qwen1.5-MoE and Qwen2-MoE (Yang et al. 2024): Qwen2 with experts, and one that every token is
  /// given to.
  static let qwen2Moe = HuggingFaceArchitecture(name: "Qwen2MoeForCausalLM") {
    configuration throws(CheckpointError) in
    let hasBias = try configuration.boolean("qkv_bias", default: true)
    let sharedWidth = try configuration.count("shared_expert_intermediate_size", default: 5632)
    let experts = try qwenExperts(
      configuration, count: 60, used: 4, width: 1408, sharedWidth: sharedWidth)
    let architecture = try qwen(
      "Qwen2MoeForCausalLM", configuration, experts,
      sizes: ["num_key_value_heads": 16, "intermediate_size": 5632])
    var names = namesOfQwenExperts
    if hasBias { names.requireBiases(of: [.query, .key, .value]) }
    names.matrices[.gate] = .init(stem: "mlp.shared_expert.gate_proj")
    names.matrices[.up] = .init(stem: "mlp.shared_expert.up_proj")
    names.matrices[.down] = .init(stem: "mlp.shared_expert.down_proj")
    names.matrices[.sharedGate] = .init(stem: "mlp.shared_expert_gate")
    return (architecture, names)
  }

  /// Qwen3-MoE (Yang et al. 2025): Qwen3 with experts.
  static let qwen3Moe = HuggingFaceArchitecture(name: "Qwen3MoeForCausalLM") {
    configuration throws(CheckpointError) in
    let experts = try qwenExperts(configuration, count: 128, used: 8, width: 768)
    let architecture = try qwen(
      "Qwen3MoeForCausalLM", configuration, experts,
      sizes: ["num_key_value_heads": 4, "intermediate_size": 6144])
    var names = namesOfQwenExperts
    names.norms[.query] = "self_attn.q_norm"
    names.norms[.key] = "self_attn.k_norm"
    if try configuration.boolean("attention_bias", default: false) {
      names.requireBiases(of: [.query, .key, .value, .attentionOutput])
    }
    return (architecture, names)
  }

  /// Qwen's dense model of the same shape, but for the experts.
  private static func qwen(
    _ name: String, _ configuration: HuggingFaceConfiguration, _ experts: Architecture.Experts,
    sizes: [String: Int]
  ) throws(CheckpointError) -> Architecture {
    var architecture = try qwen(name, configuration, sizes: sizes)
    architecture.feedForward.experts = experts
    // What the configuration gives is for layers without experts.
    architecture.feedForwardWidth = experts.blockWidth
    return architecture
  }

  /// - Parameters: defaults, but for `sharedWidth`.
  private static func qwenExperts(
    _ configuration: HuggingFaceConfiguration, count: Int, used: Int, width: Int,
    sharedWidth: Int? = nil
  ) throws(CheckpointError) -> Architecture.Experts {
    // Layers without experts among those that have them.
    try configuration.require("mlp_only_layers", .array([]))
    try configuration.require("decoder_sparse_step", .integer(1))
    // Newer files of Qwen3 say `num_local_experts`.
    let key = configuration.value("num_experts") == nil ? "num_local_experts" : "num_experts"
    return .init(
      count: try configuration.count(key, default: count),
      used: try configuration.count("num_experts_per_tok", default: used),
      width: try configuration.count("moe_intermediate_size", default: width),
      normalizes: try configuration.boolean("norm_topk_prob", default: false),
      sharedWidth: sharedWidth)
  }

  private static var namesOfQwenExperts: TensorNameMap {
    var names = namesOfLlama
    for matrix in [TensorName.Matrix.gate, .up, .down] { names.matrices[matrix] = nil }
    names.matrices[.router] = .init(stem: "mlp.gate")
    names.experts = .init(
      stem: "mlp.experts", matrices: [.gate: "gate_proj", .up: "up_proj", .down: "down_proj"])
    return names
  }
}
