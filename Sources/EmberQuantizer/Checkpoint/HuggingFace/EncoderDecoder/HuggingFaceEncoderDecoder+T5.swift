import EmberModel

extension HuggingFaceEncoderDecoder {
  /// T5 1.0 and 1.1 and Flan-T5 (Raffel et al. 2020): relative biases, RMS norms before the blocks, no
  /// other biases, unscaled scores.
  ///
  /// Defaults are those of transformers' `T5Config`.
  static let t5 = HuggingFaceEncoderDecoder(name: "T5ForConditionalGeneration") {
    configuration, weights throws(CheckpointError) in
    let vocabularySize = try configuration.count("vocab_size", default: 32_128)
    let width = try configuration.count("d_model", default: 512)
    let heads = try configuration.count("num_heads", default: 8)
    let headDimension = try configuration.count("d_kv", default: 64)
    let feedForwardWidth = try configuration.count("d_ff", default: 2048)
    let layers = try configuration.count("num_layers", default: 6)
    // The 1.1 models say so by tie_word_embeddings; in transformers it decides on the scale alone,
    // and a head that is not there is the embedding all the same.
    let saysTied = try configuration.boolean("tie_word_embeddings", default: true)
    let tied = saysTied || weights["lm_head.weight"] == nil
    try configuration.require("quantization_config")
    try configuration.require("is_encoder_decoder", .boolean(true))
    var architecture = Architecture(
      name: "T5ForConditionalGeneration",
      vocabularySize: vocabularySize,
      width: width,
      layerCount: try configuration.count("num_decoder_layers", default: layers),
      feedForwardWidth: feedForwardWidth,
      // Nothing ends there; it is what the models were trained with.
      contextLength: try configuration.count("n_positions", default: 512),
      norm: .init(
        kind: .rootMeanSquare,
        epsilon: try configuration.positive("layer_norm_epsilon", default: 1e-6)),
      position: .relativeBias(
        buckets: try configuration.count("relative_attention_num_buckets", default: 32),
        maximumDistance: try configuration.count(
          "relative_attention_max_distance", default: 128)),
      attention: .init(
        headCount: heads, keyValueHeadCount: heads, headDimension: headDimension, scale: 1),
      feedForward: try t5FeedForward(configuration),
      headScale: saysTied ? 1 / Float(width).squareRoot() : nil,
      tiedHead: tied)
    architecture.encoder = .init(layerCount: layers, feedForwardWidth: feedForwardWidth)
    architecture.decoderStart = try configuration.decoderStart(vocabularySize: vocabularySize)
    guard heads <= HuggingFaceConfiguration.countLimit / headDimension else {
      throw configuration.invalid(
        "num_heads", expected: "with d_kv \(headDimension) a width below 2^31")
    }
    return Description(
      architecture: architecture, tensors: t5Tensors(architecture, weights),
      ignoredPrefixes: [
        "lm_head.", "encoder.embed_tokens.", "decoder.embed_tokens.",
        // Of the first checkpoints; nothing reads it.
        "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.",
      ])
  }

  /// `relu`, `gated-gelu` and so on; the gated one is GPT-2's approximation of GELU.
  private static func t5FeedForward(
    _ configuration: HuggingFaceConfiguration
  ) throws(CheckpointError) -> Architecture.FeedForward {
    switch try configuration.string("feed_forward_proj", default: "relu") {
    case "relu": return .init(kind: .plain, activation: .relu)
    case "gelu": return .init(kind: .plain, activation: .gelu)
    case "gelu_new": return .init(kind: .plain, activation: .geluTanh)
    case "silu", "swish": return .init(kind: .plain, activation: .silu)
    case "gated-gelu", "gated-gelu_new": return .init(kind: .gated, activation: .geluTanh)
    case "gated-relu": return .init(kind: .gated, activation: .relu)
    case "gated-silu", "gated-swish": return .init(kind: .gated, activation: .silu)
    case let other:
      throw .unsupportedSetting(
        path: configuration.path, key: "feed_forward_proj", found: "\"\(other)\"",
        supported: "relu, gelu, gelu_new, silu or swish, alone or as in gated-gelu")
    }
  }

  private static func t5Tensors(_ a: Architecture, _ weights: StoredTensors) -> TensorList {
    var list = TensorList(of: weights)
    let table = "shared.weight"
    list.addMatrix(
      TensorName.embedding,
      weights[table] == nil ? "decoder.embed_tokens.weight" : table,
      rows: a.vocabularySize, columns: a.width)
    if let encoder = a.encoderArchitecture {
      list.addT5Stack("encoder", encoder, named: TensorName.encoder, hasCross: false)
    }
    list.addT5Stack("decoder", a, named: { $0 }, hasCross: true)
    if !a.tiedHead {
      list.addMatrix(
        TensorName.head, "lm_head.weight", rows: a.vocabularySize, columns: a.width)
    }
    return list
  }
}

extension TensorList {
  fileprivate mutating func addT5Stack(
    _ stack: String, _ a: Architecture, named: (String) -> String, hasCross: Bool
  ) {
    let inner = a.attention.headCount * a.attention.headDimension
    for layer in 0..<a.layerCount where !isBroken {
      let block = "\(stack).block.\(layer).layer."
      func norm(_ name: String, _ index: Int) {
        addVector(named(name), "\(block)\(index).layer_norm.weight", count: a.width)
      }
      norm(TensorName.weight(TensorName.Norm.attention, layer: layer), 0)
      let own: [(TensorName.Matrix, String)] = [(.query, "q"), (.key, "k"), (.value, "v")]
      for (matrix, stored) in own {
        addMatrix(
          named(TensorName.weight(matrix, layer: layer)),
          "\(block)0.SelfAttention.\(stored).weight", rows: inner, columns: a.width)
      }
      addMatrix(
        named(TensorName.weight(TensorName.Matrix.attentionOutput, layer: layer)),
        "\(block)0.SelfAttention.o.weight", rows: a.width, columns: inner)
      if hasCross {
        norm(TensorName.weight(crossNorm: .attention, layer: layer), 1)
        let cross: [(TensorName.CrossMatrix, String)] = [(.query, "q"), (.key, "k"), (.value, "v")]
        for (matrix, stored) in cross {
          addMatrix(
            TensorName.weight(cross: matrix, layer: layer),
            "\(block)1.EncDecAttention.\(stored).weight", rows: inner, columns: a.width)
        }
        addMatrix(
          TensorName.weight(cross: .output, layer: layer),
          "\(block)1.EncDecAttention.o.weight", rows: a.width, columns: inner)
      }
      let last = hasCross ? 2 : 1
      norm(TensorName.weight(TensorName.Norm.feedForward, layer: layer), last)
      let dense = "\(block)\(last).DenseReluDense."
      func widening(_ matrix: TensorName.Matrix, _ stored: String) {
        addMatrix(
          named(TensorName.weight(matrix, layer: layer)), "\(dense)\(stored).weight",
          rows: a.feedForwardWidth, columns: a.width)
      }
      if a.feedForward.kind == .gated {
        widening(.gate, "wi_0")
        widening(.up, "wi_1")
      } else {
        widening(.up, "wi")
      }
      addMatrix(
        named(TensorName.weight(TensorName.Matrix.down, layer: layer)), "\(dense)wo.weight",
        rows: a.width, columns: a.feedForwardWidth)
    }
    if case .relativeBias(let buckets, _) = a.position {
      addVector(
        named(TensorName.relativeBias),
        "\(stack).block.0.layer.0.SelfAttention.relative_attention_bias.weight",
        count: buckets * a.attention.headCount, shape: [buckets, a.attention.headCount])
    }
    addVector(
      named(TensorName.finalNorm), "\(stack).final_layer_norm.weight", count: a.width)
  }
}
