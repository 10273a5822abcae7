import EmberModel

extension HuggingFaceEncoderDecoder {
  /// Marian's translators (Junczys-Dowmunt et al. 2018), OPUS-MT among them: the transformer of Vaswani
  /// et al. 2017, norms behind the blocks, sinusoidal positions, biases everywhere.
  ///
  /// Defaults are those of transformers' `MarianConfig`.
  static let marian = HuggingFaceEncoderDecoder(name: "MarianMTModel") {
    configuration, weights throws(CheckpointError) in
    let vocabularySize = try configuration.count("vocab_size", default: 58_101)
    let width = try configuration.count("d_model", default: 1024)
    let heads = try configuration.count("decoder_attention_heads", default: 16)
    guard width % heads == 0 else {
      throw configuration.invalid(
        "decoder_attention_heads", expected: "a divisor of d_model (\(width))")
    }
    try requireTransformer(
      configuration, vocabularySize: vocabularySize, heads: heads)
    var architecture = Architecture(
      name: "MarianMTModel",
      vocabularySize: vocabularySize,
      width: width,
      layerCount: try configuration.count("decoder_layers", default: 12),
      feedForwardWidth: try configuration.count("decoder_ffn_dim", default: 4096),
      contextLength: try configuration.count("max_position_embeddings", default: 1024),
      norm: .init(kind: .layer, epsilon: 1e-5),
      position: .sinusoidal,
      attention: .init(
        headCount: heads, keyValueHeadCount: heads, headDimension: width / heads),
      feedForward: .init(kind: .plain, activation: try marianActivation(configuration)),
      embeddingScale: try configuration.boolean("scale_embedding", default: false)
        ? Float(width).squareRoot() : nil,
      tiedHead: try configuration.boolean("tie_word_embeddings", default: true))
    architecture.encoder = .init(
      layerCount: try configuration.count("encoder_layers", default: 12),
      feedForwardWidth: try configuration.count("encoder_ffn_dim", default: 4096))
    architecture.decoderStart = try configuration.decoderStart(vocabularySize: vocabularySize)
    var suppressed = try configuration.suppressedTokens(vocabularySize: vocabularySize)
    if let padding = try configuration.tokenID("pad_token_id"),
      (0..<vocabularySize).contains(padding), !suppressed.contains(padding)
    {
      suppressed.append(padding)
    }
    architecture.suppressedTokens = suppressed.sorted()
    return Description(
      architecture: architecture, tensors: marianTensors(architecture, weights),
      ignoredPrefixes: [
        "lm_head.", "model.encoder.embed_tokens.", "model.decoder.embed_tokens.",
        "model.encoder.embed_positions.", "model.decoder.embed_positions.",
      ])
  }

  /// Refuses what other models of Marian have.
  private static func requireTransformer(
    _ configuration: HuggingFaceConfiguration, vocabularySize: Int, heads: Int
  ) throws(CheckpointError) {
    for key in ["normalize_before", "normalize_embedding", "add_final_layer_norm"] {
      try configuration.require(key, .boolean(false))
    }
    try configuration.require("static_position_embeddings", .boolean(true))
    try configuration.require("share_encoder_decoder_embeddings", .boolean(true))
    try configuration.require("decoder_vocab_size", .integer(vocabularySize))
    try configuration.require("encoder_attention_heads", .integer(heads))
    try configuration.require("is_encoder_decoder", .boolean(true))
    try configuration.require("quantization_config")
  }

  private static func marianActivation(
    _ configuration: HuggingFaceConfiguration
  ) throws(CheckpointError) -> Architecture.FeedForward.Activation {
    switch try configuration.string("activation_function", default: "gelu") {
    case "swish", "silu": return .silu
    case "relu": return .relu
    case "gelu": return .gelu
    case "gelu_new", "gelu_pytorch_tanh": return .geluTanh
    case let other:
      throw .unsupportedSetting(
        path: configuration.path, key: "activation_function", found: "\"\(other)\"",
        supported: "swish, silu, relu, gelu, gelu_new")
    }
  }

  private static func marianTensors(_ a: Architecture, _ weights: StoredTensors) -> TensorList {
    var list = TensorList(of: weights)
    let table = "model.shared.weight"
    list.addMatrix(
      TensorName.embedding,
      weights[table] == nil ? "model.decoder.embed_tokens.weight" : table,
      rows: a.vocabularySize, columns: a.width)
    if let encoder = a.encoderArchitecture {
      list.addMarianStack("model.encoder", encoder, named: TensorName.encoder, hasCross: false)
    }
    list.addMarianStack("model.decoder", a, named: { $0 }, hasCross: true)
    if !a.tiedHead {
      list.addMatrix(
        TensorName.head, "lm_head.weight", rows: a.vocabularySize, columns: a.width)
    }
    list.addVector(
      TensorName.headBias, "final_logits_bias", count: a.vocabularySize,
      shape: [1, a.vocabularySize])
    return list
  }
}

extension TensorList {
  fileprivate mutating func addMarianStack(
    _ stack: String, _ a: Architecture, named: (String) -> String, hasCross: Bool
  ) {
    for layer in 0..<a.layerCount where !isBroken {
      let block = "\(stack).layers.\(layer)."
      func norm(_ weight: String, _ bias: String, _ stored: String) {
        addVector(named(weight), "\(block)\(stored).weight", count: a.width)
        addVector(named(bias), "\(block)\(stored).bias", count: a.width)
      }
      func linear(_ matrix: TensorName.Matrix, _ stored: String, rows: Int, columns: Int) {
        addMatrix(
          named(TensorName.weight(matrix, layer: layer)), "\(block)\(stored).weight", rows: rows,
          columns: columns)
        addVector(
          named(TensorName.bias(matrix, layer: layer)), "\(block)\(stored).bias", count: rows)
      }
      let own: [(TensorName.Matrix, String)] = [
        (.query, "q_proj"), (.key, "k_proj"), (.value, "v_proj"), (.attentionOutput, "out_proj"),
      ]
      for (matrix, stored) in own {
        linear(matrix, "self_attn.\(stored)", rows: a.width, columns: a.width)
      }
      norm(
        TensorName.weight(TensorName.Norm.attentionSum, layer: layer),
        TensorName.bias(TensorName.Norm.attentionSum, layer: layer), "self_attn_layer_norm")
      if hasCross {
        let cross: [(TensorName.CrossMatrix, String)] = [
          (.query, "q_proj"), (.key, "k_proj"), (.value, "v_proj"), (.output, "out_proj"),
        ]
        for (matrix, stored) in cross {
          addMatrix(
            TensorName.weight(cross: matrix, layer: layer), "\(block)encoder_attn.\(stored).weight",
            rows: a.width, columns: a.width)
          addVector(
            TensorName.bias(cross: matrix, layer: layer), "\(block)encoder_attn.\(stored).bias",
            count: a.width)
        }
        norm(
          TensorName.weight(crossNorm: .sum, layer: layer),
          TensorName.bias(crossNorm: .sum, layer: layer), "encoder_attn_layer_norm")
      }
      linear(.up, "fc1", rows: a.feedForwardWidth, columns: a.width)
      linear(.down, "fc2", rows: a.width, columns: a.feedForwardWidth)
      norm(
        TensorName.weight(TensorName.Norm.feedForwardSum, layer: layer),
        TensorName.bias(TensorName.Norm.feedForwardSum, layer: layer), "final_layer_norm")
    }
  }
}
