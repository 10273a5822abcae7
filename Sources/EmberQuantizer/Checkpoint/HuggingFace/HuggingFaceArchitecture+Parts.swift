import EmberModel

// What several architectures spell alike.
extension HuggingFaceArchitecture {
  /// A model of the shape that Llama's descendants share: rotary positions, query heads that share
  /// keys and values, a gated feed-forward block, RMS norms. Each changes what it does otherwise.
  ///
  /// - Parameters:
  ///   - sizes: defaults of sizes by their keys; a size without one must be there.
  ///   - epsilonKey: of the norms' epsilon, whose default is `epsilon`.
  ///   - partialRotary: the share of a head that is rotated by default.
  static func descendantOfLlama(
    _ name: String, _ configuration: HuggingFaceConfiguration, sizes: [String: Int] = [:],
    epsilonKey: String = "rms_norm_eps", epsilon: Float = 1e-6, tiedHead: Bool = false,
    activationKey: String = "hidden_act", activation: String = "silu",
    rotary: RotarySpelling = RotarySpelling()
  ) throws(CheckpointError) -> Architecture {
    func size(_ key: String) throws(CheckpointError) -> Int {
      try configuration.count(key, default: sizes[key])
    }
    try configuration.require("quantization_config")
    let width = try size("hidden_size")
    let attention = try groupedQueryAttention(configuration, width: width, sizes: sizes)
    let (position, contextLength) = try rotaryPosition(
      configuration, headDimension: attention.headDimension,
      trainedLength: try size("max_position_embeddings"), spelling: rotary)
    return Architecture(
      name: name,
      vocabularySize: try size("vocab_size"),
      width: width,
      layerCount: try size("num_hidden_layers"),
      feedForwardWidth: try size("intermediate_size"),
      contextLength: contextLength,
      norm: .init(
        kind: .rootMeanSquare, epsilon: try configuration.positive(epsilonKey, default: epsilon)),
      position: position,
      attention: attention,
      feedForward: .init(
        kind: .gated,
        activation: try self.activation(configuration, activationKey, default: activation)),
      tiedHead: try configuration.boolean("tie_word_embeddings", default: tiedHead))
  }

  /// The heads, as most architectures after Llama name them.
  ///
  /// - Parameter sizes: defaults by their keys.
  static func groupedQueryAttention(
    _ configuration: HuggingFaceConfiguration, width: Int, sizes: [String: Int] = [:]
  ) throws(CheckpointError) -> Architecture.Attention {
    let heads = try configuration.count(
      "num_attention_heads", default: sizes["num_attention_heads"])
    let keyValueHeads =
      try configuration.optionalCount(
        "num_key_value_heads", default: sizes["num_key_value_heads"]) ?? heads
    guard heads % keyValueHeads == 0 else {
      throw configuration.invalid(
        "num_key_value_heads", expected: "a divisor of num_attention_heads (\(heads))")
    }
    let named = try configuration.optionalCount("head_dim", default: sizes["head_dim"])
    if named == nil, width % heads != 0 {
      throw configuration.invalid(
        "num_attention_heads", expected: "a divisor of hidden_size (\(width)), or a head_dim")
    }
    let headDimension = named ?? width / heads
    guard headDimension % 2 == 0 else {
      throw .invalidValue(
        path: configuration.path, key: configuration.named("head_dim"),
        expected: "an even number, as rotary embedding turns pairs", found: "\(headDimension)")
    }
    guard heads <= HuggingFaceConfiguration.countLimit / headDimension else {
      throw configuration.invalid(
        "num_attention_heads", expected: "with head_dim \(headDimension) a width below 2^31")
    }
    return .init(
      headCount: heads, keyValueHeadCount: keyValueHeads, headDimension: headDimension)
  }

  /// As many key/value heads as query heads, whose widths together are that of the stream.
  static func fullAttention(
    _ configuration: HuggingFaceConfiguration, width: Int, headsKey: String,
    widthKey: String = "hidden_size"
  ) throws(CheckpointError) -> Architecture.Attention {
    let heads = try configuration.count(headsKey)
    guard width % heads == 0 else {
      throw configuration.invalid(headsKey, expected: "a divisor of \(widthKey) (\(width))")
    }
    return .init(headCount: heads, keyValueHeadCount: heads, headDimension: width / heads)
  }

  /// The feed-forward block's activation, by transformers' name for it.
  static func activation(
    _ configuration: HuggingFaceConfiguration, _ key: String, default defaultName: String
  ) throws(CheckpointError) -> Architecture.FeedForward.Activation {
    let name = try configuration.string(key, default: defaultName)
    switch name {
    case "silu", "swish": return .silu
    case "gelu", "gelu_python": return .gelu
    case "gelu_new", "gelu_pytorch_tanh", "gelu_fast": return .geluTanh
    case "relu": return .relu
    default:
      throw .unsupportedSetting(
        path: configuration.path, key: configuration.named(key), found: "\"\(name)\"",
        supported: "silu, gelu, gelu_new, gelu_pytorch_tanh, relu")
    }
  }

  /// Which layers see a window and which all positions: `layer_types`, or the rule that a
  /// configuration without it means.
  ///
  /// - Parameters:
  ///   - window: nil where there is none: then all layers see all positions.
  ///   - isLocal: the rule, by the layer's number.
  static func setWindow(
    _ window: Int?, of architecture: inout Architecture,
    _ configuration: HuggingFaceConfiguration, isLocal: (Int) -> Bool
  ) throws(CheckpointError) {
    let layers = 0..<architecture.layerCount
    var global: [Int] = []
    if let value = configuration.value("layer_types") {
      guard case .array(let types) = value, types.count == layers.count else {
        throw configuration.invalid(
          "layer_types", expected: "an array of \(layers.count) names, one for each layer")
      }
      for (layer, type) in types.enumerated() {
        switch type {
        case .string("full_attention"): global.append(layer)
        case .string("sliding_attention"): break
        default:
          throw .unsupportedSetting(
            path: configuration.path, key: configuration.named("layer_types"),
            found: type.description, supported: "\"full_attention\", \"sliding_attention\"")
        }
      }
    } else if window != nil {
      // A model of more layers is refused, but only when its tensors have been looked for.
      global = layers.prefix(1 << 16).filter { !isLocal($0) }
    }
    if window == nil, global.count < layers.count, configuration.value("layer_types") != nil {
      throw configuration.invalid(
        "sliding_window", expected: "a number of tokens, as layer_types has sliding_attention")
    }
    guard let window, global.count < layers.count else { return }
    architecture.attention.window = window
    architecture.attention.globalLayers = global.isEmpty ? nil : global
  }

  /// What Llama calls its tensors.
  static var namesOfLlama: TensorNameMap {
    TensorNameMap(
      prefixes: ["model.", ""],
      embedding: "embed_tokens",
      layers: "layers",
      norms: [.attention: "input_layernorm", .feedForward: "post_attention_layernorm"],
      matrices: [
        .query: .init(stem: "self_attn.q_proj"),
        .key: .init(stem: "self_attn.k_proj"),
        .value: .init(stem: "self_attn.v_proj"),
        .attentionOutput: .init(stem: "self_attn.o_proj"),
        .gate: .init(stem: "mlp.gate_proj"),
        .up: .init(stem: "mlp.up_proj"),
        .down: .init(stem: "mlp.down_proj"),
      ],
      finalNorm: "norm",
      head: "lm_head",
      ignoredSuffixes: [".rotary_emb.inv_freq"])
  }
}
