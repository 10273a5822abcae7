import EmberModel

extension HuggingFaceArchitecture {
  /// Gemma (Gemma Team 2024): Llama with GELU, an embedding times √width, and gains stored less 1.
  static let gemma = HuggingFaceArchitecture(name: "GemmaForCausalLM") {
    configuration throws(CheckpointError) in
    let architecture = try anyGemma(
      "GemmaForCausalLM", configuration,
      sizes: ["num_key_value_heads": 16, "head_dim": 256], activationKey: "hidden_act")
    return (architecture, namesOfGemma)
  }

  /// Gemma 2 (Gemma Team 2024): norms before and behind each block, windows in every second layer,
  /// soft caps of scores and logits.
  static let gemma2 = HuggingFaceArchitecture(name: "Gemma2ForCausalLM") {
    configuration throws(CheckpointError) in
    var architecture = try anyGemma(
      "Gemma2ForCausalLM", configuration,
      sizes: ["num_key_value_heads": 4, "head_dim": 256])
    try setAttentionScale(of: &architecture, configuration)
    architecture.attention.softCap = try configuration.optionalPositive(
      "attn_logit_softcapping", default: 50)
    architecture.logitSoftCap = try configuration.optionalPositive(
      "final_logit_softcapping", default: 30)
    let window = try configuration.optionalCount("sliding_window", default: 4096)
    try setWindow(window, of: &architecture, configuration) { $0 % 2 == 0 }
    return (architecture, namesOfGemma2)
  }

  /// Gemma 3 (Gemma Team 2025), text: as Gemma 2 with norms of query and key for the cap of scores,
  /// and another base of the rotary embedding in layers with a window.
  static let gemma3 = HuggingFaceArchitecture(name: "Gemma3ForCausalLM") {
    configuration throws(CheckpointError) in
    try describeGemma3("Gemma3ForCausalLM", configuration, tiedHead: true)
  }

  /// The text model of a Gemma 3 that sees pictures, too; what sees them is left out.
  static let gemma3Conditional = HuggingFaceArchitecture(name: "Gemma3ForConditionalGeneration") {
    configuration throws(CheckpointError) in
    guard let text = try configuration.object("text_config") else {
      throw .missingKey(path: configuration.path, key: "text_config")
    }
    try configuration.require("quantization_config")
    let tiedHead = try configuration.boolean("tie_word_embeddings", default: true)
    var (architecture, names) = try describeGemma3(
      "Gemma3ForConditionalGeneration", text, tiedHead: tiedHead)
    architecture.tiedHead = tiedHead
    names.prefixes = ["model.language_model.", "language_model.model."]
    names.ignoredPrefixes = ["vision_tower.", "multi_modal_projector."]
    names.ignoredPrefixes += names.ignoredPrefixes.map { "model." + $0 }
    return (architecture, names)
  }

  private static func describeGemma3(
    _ name: String, _ configuration: HuggingFaceConfiguration, tiedHead: Bool
  ) throws(CheckpointError) -> (Architecture, TensorNameMap) {
    try configuration.require("attn_logit_softcapping")
    let nested = try configuration.object("rope_parameters")
    let isNested = nested.map { $0.values.keys.contains { $0.hasSuffix("_attention") } } ?? true
    guard isNested else {
      throw configuration.invalid(
        "rope_parameters", expected: "an object with full_attention and sliding_attention")
    }
    var global = try configuration.object("rope_scaling")
    if global == nil { global = try nested?.object("full_attention") }
    let local = try nested?.object("sliding_attention")
    try local?.require("rope_type", .string("default"))
    try local?.require("partial_rotary_factor", .integer(1), .number(1))

    // Files of models that see pictures name only what differs from these.
    var architecture = try anyGemma(
      name, configuration,
      sizes: [
        "vocab_size": 262_208, "hidden_size": 2304, "intermediate_size": 9216,
        "num_hidden_layers": 26, "num_attention_heads": 8, "num_key_value_heads": 4,
        "head_dim": 256, "max_position_embeddings": 131_072,
      ],
      rotary: RotarySpelling(base: 1_000_000, parameters: global))
    try setAttentionScale(of: &architecture, configuration)
    architecture.logitSoftCap = try configuration.optionalPositive(
      "final_logit_softcapping", default: nil)
    let window = try configuration.count("sliding_window", default: 4096)
    let older = "_sliding_window_pattern"
    let pattern = try configuration.count(
      "sliding_window_pattern", default: try configuration.count(older, default: 6))
    try setWindow(window, of: &architecture, configuration) { ($0 + 1) % pattern != 0 }
    if case .rotary(let base, let dimensions, let pairing, let scaling, _) = architecture.position {
      let ofFile = try configuration.positive("rope_local_base_freq", default: 10_000)
      architecture.position = .rotary(
        base: base, dimensions: dimensions, pairing: pairing, scaling: scaling,
        localBase: try local?.positive("rope_theta", default: ofFile) ?? ofFile)
    }
    var names = namesOfGemma2
    names.norms[.query] = "self_attn.q_norm"
    names.norms[.key] = "self_attn.k_norm"
    return (architecture, names)
  }

  private static func anyGemma(
    _ name: String, _ configuration: HuggingFaceConfiguration, sizes: [String: Int],
    activationKey: String = "hidden_activation", rotary: RotarySpelling = RotarySpelling()
  ) throws(CheckpointError) -> Architecture {
    try configuration.require("use_bidirectional_attention", .boolean(false))
    var architecture = try descendantOfLlama(
      name, configuration, sizes: sizes, tiedHead: true, activationKey: activationKey,
      activation: "gelu_pytorch_tanh", rotary: rotary)
    // The first files of Gemma say "gelu" and mean the approximation, as transformers knows.
    if activationKey == "hidden_act", architecture.feedForward.activation == .gelu {
      architecture.feedForward.activation = .geluTanh
    }
    architecture.embeddingScale = Float(architecture.width).squareRoot()
    return architecture
  }

  private static func setAttentionScale(
    of architecture: inout Architecture, _ configuration: HuggingFaceConfiguration
  ) throws(CheckpointError) {
    let scalar = try configuration.positive("query_pre_attn_scalar", default: 256)
    architecture.attention.scale = 1 / scalar.squareRoot()
  }

  private static var namesOfGemma: TensorNameMap {
    var names = namesOfLlama
    names.gainOffset = 1
    return names
  }

  private static var namesOfGemma2: TensorNameMap {
    var names = namesOfGemma
    names.norms = [
      .attention: "input_layernorm", .attentionOutput: "post_attention_layernorm",
      .feedForward: "pre_feedforward_layernorm",
      .feedForwardOutput: "post_feedforward_layernorm",
    ]
    return names
  }
}
