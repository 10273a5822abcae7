import EmberModel

extension HuggingFaceArchitecture {
  /// BLOOM (BigScience 2022): ALiBi for positions, a norm of the embedding, query, key and value
  /// fused head by head.
  static let bloom = HuggingFaceArchitecture(name: "BloomForCausalLM") {
    configuration throws(CheckpointError) in
    try configuration.require("apply_residual_connection_post_layernorm", .boolean(false))
    try configuration.require("quantization_config")
    // The keys of the first files are the second ones.
    func count(_ key: String, or older: String) throws(CheckpointError) -> Int {
      try configuration.count(configuration.value(key) == nil ? older : key)
    }
    let width = try count("hidden_size", or: "n_embed")
    let headsKey = configuration.value("n_head") == nil ? "num_attention_heads" : "n_head"
    let architecture = Architecture(
      name: "BloomForCausalLM",
      vocabularySize: try configuration.count("vocab_size"),
      width: width,
      layerCount: try count("n_layer", or: "num_hidden_layers"),
      feedForwardWidth: 4 * width,
      // Biases have no end, and the files need not say what the model was trained for; it was this.
      contextLength: try configuration.count("seq_length", default: 2048),
      norm: .init(
        kind: .layer, epsilon: try configuration.positive("layer_norm_epsilon", default: 1e-5)),
      position: .linearBias,
      attention: try fullAttention(configuration, width: width, headsKey: headsKey),
      feedForward: .init(kind: .plain, activation: .geluTanh),
      tiedHead: try configuration.boolean("tie_word_embeddings", default: true))
    return (architecture, namesOfBloom)
  }

  private static var namesOfBloom: TensorNameMap {
    let fused = fusedByHead("self_attention.query_key_value")
    var names = TensorNameMap(
      prefixes: ["transformer.", ""],
      embedding: "word_embeddings",
      embeddingNorm: "word_embeddings_layernorm",
      layers: "h",
      norms: [.attention: "input_layernorm", .feedForward: "post_attention_layernorm"],
      matrices: [
        .query: fused, .key: fused, .value: fused,
        .attentionOutput: .init(stem: "self_attention.dense"),
        .up: .init(stem: "mlp.dense_h_to_4h"),
        .down: .init(stem: "mlp.dense_4h_to_h"),
      ],
      finalNorm: "ln_f",
      head: "lm_head")
    names.requireBiases(of: TensorName.Matrix.allCases)
    return names
  }
}
