import EmberModel

extension HuggingFaceArchitecture {
  /// OPT (Zhang et al. 2022): learned positions behind two rows that nobody uses, layer norms, ReLU,
  /// biases everywhere; norms of the sums where they do not come before the blocks.
  static let opt = HuggingFaceArchitecture(name: "OPTForCausalLM") {
    configuration throws(CheckpointError) in
    let width = try configuration.count("hidden_size")
    // OPT-350m alone has a narrower embedding, and matrices between it and the layers.
    try configuration.require("word_embed_proj_dim", .integer(width))
    try configuration.require("layer_norm_elementwise_affine", .boolean(true))
    try configuration.require("quantization_config")
    let normsFirst = try configuration.boolean("do_layer_norm_before", default: true)
    let hasFinalNorm = try !configuration.boolean("_remove_final_layer_norm", default: false)
    let architecture = Architecture(
      name: "OPTForCausalLM",
      vocabularySize: try configuration.count("vocab_size"),
      width: width,
      layerCount: try configuration.count("num_hidden_layers"),
      feedForwardWidth: try configuration.count("ffn_dim"),
      contextLength: try configuration.count("max_position_embeddings"),
      norm: .init(kind: .layer, epsilon: 1e-5),
      position: .learned,
      attention: try fullAttention(configuration, width: width, headsKey: "num_attention_heads"),
      feedForward: .init(
        kind: .plain,
        activation: try activation(configuration, "activation_function", default: "relu")),
      tiedHead: try configuration.boolean("tie_word_embeddings", default: true))
    var names = namesOfOPT(normsFirst: normsFirst)
    if !normsFirst || !hasFinalNorm { names.finalNorm = nil }
    if try configuration.boolean("enable_bias", default: true) {
      names.requireBiases(of: TensorName.Matrix.allCases)
    }
    return (architecture, names)
  }

  private static func namesOfOPT(normsFirst: Bool) -> TensorNameMap {
    TensorNameMap(
      prefixes: ["model.decoder.", "decoder."],
      embedding: "embed_tokens",
      position: "embed_positions",
      positionOffset: 2,
      layers: "layers",
      norms: [
        normsFirst ? .attention : .attentionSum: "self_attn_layer_norm",
        normsFirst ? .feedForward : .feedForwardSum: "final_layer_norm",
      ],
      matrices: [
        .query: .init(stem: "self_attn.q_proj"),
        .key: .init(stem: "self_attn.k_proj"),
        .value: .init(stem: "self_attn.v_proj"),
        .attentionOutput: .init(stem: "self_attn.out_proj"),
        .up: .init(stem: "fc1"),
        .down: .init(stem: "fc2"),
      ],
      finalNorm: "final_layer_norm",
      head: "lm_head")
  }
}
