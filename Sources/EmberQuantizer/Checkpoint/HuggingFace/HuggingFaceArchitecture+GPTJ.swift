import EmberModel

extension HuggingFaceArchitecture {
  /// GPT-J (Wang and Komatsuzaki 2021): parallel blocks behind one norm, the first elements of a
  /// head rotated in adjacent pairs.
  static let gptJ = HuggingFaceArchitecture(name: "GPTJForCausalLM") {
    configuration throws(CheckpointError) in
    try configuration.require("quantization_config")
    let width = try configuration.count("n_embd")
    let architecture = Architecture(
      name: "GPTJForCausalLM",
      vocabularySize: try configuration.count("vocab_size"),
      width: width,
      layerCount: try configuration.count("n_layer"),
      feedForwardWidth: try configuration.count("n_inner", default: 4 * width),
      contextLength: try configuration.count("n_positions"),
      norm: .init(
        kind: .layer, epsilon: try configuration.positive("layer_norm_epsilon", default: 1e-5)),
      position: .rotary(
        base: 10_000, dimensions: try configuration.count("rotary_dim", default: 64),
        pairing: .adjacent),
      attention: try fullAttention(
        configuration, width: width, headsKey: "n_head", widthKey: "n_embd"),
      feedForward: .init(
        kind: .plain,
        activation: try activation(configuration, "activation_function", default: "gelu_new")),
      residual: .parallel,
      tiedHead: try configuration.boolean("tie_word_embeddings", default: false))
    return (architecture, namesOfGPTJ)
  }

  private static var namesOfGPTJ: TensorNameMap {
    TensorNameMap(
      prefixes: ["transformer.", ""],
      embedding: "wte",
      layers: "h",
      norms: [.attention: "ln_1", .feedForward: "ln_1"],
      matrices: [
        .query: .init(stem: "attn.q_proj"),
        .key: .init(stem: "attn.k_proj"),
        .value: .init(stem: "attn.v_proj"),
        .attentionOutput: .init(stem: "attn.out_proj"),
        .up: .init(stem: "mlp.fc_in", bias: .required),
        .down: .init(stem: "mlp.fc_out", bias: .required),
      ],
      finalNorm: "ln_f",
      head: "lm_head",
      headBias: .required,
      ignoredSuffixes: [".attn.bias", ".attn.masked_bias"])
  }
}
