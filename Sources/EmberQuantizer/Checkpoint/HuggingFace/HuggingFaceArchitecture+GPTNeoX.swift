import EmberModel

extension HuggingFaceArchitecture {
  /// GPT-NeoX (Black et al. 2022) and Pythia: layer norms, parallel blocks with a norm each, a part
  /// of every head rotated, query, key and value fused head by head.
  static let gptNeoX = HuggingFaceArchitecture(name: "GPTNeoXForCausalLM") {
    configuration throws(CheckpointError) in
    try configuration.require("quantization_config")
    let width = try configuration.count("hidden_size")
    let attention = try fullAttention(configuration, width: width, headsKey: "num_attention_heads")
    let (position, contextLength) = try rotaryPosition(
      configuration, headDimension: attention.headDimension,
      trainedLength: try configuration.count("max_position_embeddings"),
      spelling: RotarySpelling(baseKey: "rotary_emb_base", shareKey: "rotary_pct", share: 0.25))
    let isParallel = try configuration.boolean("use_parallel_residual", default: true)
    let architecture = Architecture(
      name: "GPTNeoXForCausalLM",
      vocabularySize: try configuration.count("vocab_size"),
      width: width,
      layerCount: try configuration.count("num_hidden_layers"),
      feedForwardWidth: try configuration.count("intermediate_size"),
      contextLength: contextLength,
      norm: .init(
        kind: .layer, epsilon: try configuration.positive("layer_norm_eps", default: 1e-5)),
      position: position,
      attention: attention,
      feedForward: .init(
        kind: .plain, activation: try activation(configuration, "hidden_act", default: "gelu")),
      residual: isParallel ? .parallel : .sequential,
      tiedHead: try configuration.boolean("tie_word_embeddings", default: false))
    var names = namesOfGPTNeoX
    if try configuration.boolean("attention_bias", default: true) {
      names.requireBiases(of: [.query, .key, .value, .attentionOutput])
    }
    return (architecture, names)
  }

  private static var namesOfGPTNeoX: TensorNameMap {
    let fused = fusedByHead("attention.query_key_value")
    return TensorNameMap(
      prefixes: ["gpt_neox.", ""],
      embedding: "embed_in",
      layers: "layers",
      norms: [.attention: "input_layernorm", .feedForward: "post_attention_layernorm"],
      matrices: [
        .query: fused, .key: fused, .value: fused,
        .attentionOutput: .init(stem: "attention.dense"),
        .up: .init(stem: "mlp.dense_h_to_4h", bias: .required),
        .down: .init(stem: "mlp.dense_4h_to_h", bias: .required),
      ],
      finalNorm: "final_layer_norm",
      head: "embed_out",
      ignoredSuffixes: [".attention.bias", ".attention.masked_bias", ".rotary_emb.inv_freq"])
  }

  /// Query, key and value of the first head, then those of the second, and so on.
  static func fusedByHead(_ stem: String) -> TensorNameMap.MatrixName {
    .init(stem: stem, fused: [.query, .key, .value], isFusedByHead: true)
  }
}
