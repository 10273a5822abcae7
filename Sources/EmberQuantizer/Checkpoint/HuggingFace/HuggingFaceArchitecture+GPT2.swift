import EmberModel

extension HuggingFaceArchitecture {
  /// GPT-2 (Radford et al. 2019): learned positions, layer norm, GELU, biases everywhere.
  ///
  /// Its matrices are stored as one-wide convolutions, [inputs, outputs], with query, key and
  /// value in one. Defaults are those of transformers' `GPT2Config`.
  static let gpt2 = HuggingFaceArchitecture(name: "GPT2LMHeadModel") {
    configuration throws(CheckpointError) in
    let width = try configuration.count("n_embd")
    try configuration.require("scale_attn_weights", .boolean(true))
    try configuration.require("scale_attn_by_inverse_layer_idx", .boolean(false))
    try configuration.require("add_cross_attention", .boolean(false))
    try configuration.require("quantization_config")
    let architecture = Architecture(
      name: "GPT2LMHeadModel",
      vocabularySize: try configuration.count("vocab_size"),
      width: width,
      layerCount: try configuration.count("n_layer"),
      feedForwardWidth: try configuration.count("n_inner", default: 4 * width),
      contextLength: try configuration.count("n_positions"),
      norm: .init(
        kind: .layer, epsilon: try configuration.positive("layer_norm_epsilon", default: 1e-5)),
      position: .learned,
      attention: try fullAttention(
        configuration, width: width, headsKey: "n_head", widthKey: "n_embd"),
      feedForward: .init(
        kind: .plain,
        activation: try activation(configuration, "activation_function", default: "gelu_new")),
      tiedHead: try configuration.boolean("tie_word_embeddings", default: true))
    return (architecture, gpt2Names)
  }

  private static let gpt2Names: TensorNameMap = {
    func convolution(
      _ stem: String, fused: [TensorName.Matrix] = []
    ) -> TensorNameMap.MatrixName {
      .init(stem: stem, order: .inputsByOutputs, fused: fused, bias: .required)
    }
    let fused = convolution("attn.c_attn", fused: [.query, .key, .value])
    return TensorNameMap(
      prefixes: ["transformer.", ""],
      embedding: "wte",
      position: "wpe",
      layers: "h",
      norms: [.attention: "ln_1", .feedForward: "ln_2"],
      matrices: [
        .query: fused, .key: fused, .value: fused,
        .attentionOutput: convolution("attn.c_proj"),
        .up: convolution("mlp.c_fc"),
        .down: convolution("mlp.c_proj"),
      ],
      finalNorm: "ln_f",
      head: "lm_head",
      ignoredSuffixes: [".attn.bias", ".attn.masked_bias"])
  }()
}
