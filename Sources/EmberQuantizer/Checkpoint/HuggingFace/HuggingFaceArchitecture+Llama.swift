import EmberModel

extension HuggingFaceArchitecture {
  /// Llama (Touvron et al. 2023): grouped-query attention, rotary positions, RMS norm, SwiGLU.
  ///
  /// Defaults are those of transformers' `LlamaConfig`.
  static let llama = HuggingFaceArchitecture(name: "LlamaForCausalLM") {
    configuration throws(CheckpointError) in
    let width = try configuration.count("hidden_size")
    let attention = try groupedQueryAttention(configuration, width: width)
    try configuration.require("hidden_act", .string("silu"))
    try configuration.require("quantization_config")
    try configuration.require("sliding_window")
    let architecture = Architecture(
      name: "LlamaForCausalLM",
      vocabularySize: try configuration.count("vocab_size"),
      width: width,
      layerCount: try configuration.count("num_hidden_layers"),
      feedForwardWidth: try configuration.count("intermediate_size"),
      contextLength: try configuration.count("max_position_embeddings"),
      norm: .init(
        kind: .rootMeanSquare, epsilon: try configuration.positive("rms_norm_eps", default: 1e-6)),
      position: .rotary(
        base: try rotaryBase(configuration), dimensions: attention.headDimension,
        pairing: .halves),
      attention: attention,
      feedForward: .init(kind: .gated, activation: .silu),
      tiedHead: try configuration.boolean("tie_word_embeddings", default: false))
    let attentionBias: TensorNameMap.Bias =
      try configuration.boolean("attention_bias", default: false) ? .required : .ifPresent
    let feedForwardBias: TensorNameMap.Bias =
      try configuration.boolean("mlp_bias", default: false) ? .required : .ifPresent
    return (architecture, llamaNames(attention: attentionBias, feedForward: feedForwardBias))
  }

  private static func llamaNames(
    attention: TensorNameMap.Bias, feedForward: TensorNameMap.Bias
  ) -> TensorNameMap {
    TensorNameMap(
      prefixes: ["model."],
      embedding: "embed_tokens",
      position: nil,
      layers: "layers",
      norms: [.attention: "input_layernorm", .feedForward: "post_attention_layernorm"],
      matrices: [
        .query: .init(stem: "self_attn.q_proj", bias: attention),
        .key: .init(stem: "self_attn.k_proj", bias: attention),
        .value: .init(stem: "self_attn.v_proj", bias: attention),
        .attentionOutput: .init(stem: "self_attn.o_proj", bias: attention),
        .gate: .init(stem: "mlp.gate_proj", bias: feedForward),
        .up: .init(stem: "mlp.up_proj", bias: feedForward),
        .down: .init(stem: "mlp.down_proj", bias: feedForward),
      ],
      finalNorm: "norm",
      head: "lm_head",
      ignoredSuffixes: [".rotary_emb.inv_freq"])
  }

  /// The heads, as most architectures after Llama name them.
  static func groupedQueryAttention(
    _ configuration: HuggingFaceConfiguration, width: Int
  ) throws(CheckpointError) -> Architecture.Attention {
    let heads = try configuration.count("num_attention_heads")
    let keyValueHeads = try configuration.count("num_key_value_heads", default: heads)
    guard heads % keyValueHeads == 0 else {
      throw configuration.invalid(
        "num_key_value_heads", expected: "a divisor of num_attention_heads (\(heads))")
    }
    if configuration.value("head_dim") == nil, width % heads != 0 {
      throw configuration.invalid(
        "num_attention_heads", expected: "a divisor of hidden_size (\(width)), or a head_dim")
    }
    let headDimension = try configuration.count("head_dim", default: width / heads)
    guard headDimension % 2 == 0 else {
      throw .invalidValue(
        path: configuration.path, key: "head_dim",
        expected: "an even number, as rotary embedding turns pairs", found: "\(headDimension)")
    }
    guard heads <= HuggingFaceConfiguration.countLimit / headDimension else {
      throw configuration.invalid(
        "num_attention_heads", expected: "with head_dim \(headDimension) a width below 2^31")
    }
    return .init(
      headCount: heads, keyValueHeadCount: keyValueHeads, headDimension: headDimension)
  }

  /// The base of plain rotary embedding; refuses every scaling of it.
  ///
  /// Older files have `rope_theta` and `rope_scaling`, newer ones `rope_parameters` with both.
  static func rotaryBase(
    _ configuration: HuggingFaceConfiguration
  ) throws(CheckpointError) -> Float {
    try configuration.require("partial_rotary_factor", .integer(1), .number(1))
    var base = try configuration.positive("rope_theta", default: 10_000)
    for key in ["rope_scaling", "rope_parameters"] {
      guard let value = configuration.value(key) else { continue }
      guard case .object(let parameters) = value else {
        throw configuration.invalid(key, expected: "an object or null")
      }
      let kind = parameters["rope_type"] ?? parameters["type"] ?? .string("default")
      guard kind == .string("default") else {
        throw .unsupportedSetting(
          path: configuration.path, key: "\(key).rope_type", found: kind.description,
          supported: "\"default\"")
      }
      let whole = parameters["partial_rotary_factor"] ?? .integer(1)
      guard whole == .integer(1) || whole == .number(1) || whole == .null else {
        throw .unsupportedSetting(
          path: configuration.path, key: "\(key).partial_rotary_factor",
          found: whole.description, supported: "1")
      }
      if let theta = parameters["rope_theta"], theta != .null {
        guard let number = configuration.positiveNumber(theta) else {
          throw .invalidValue(
            path: configuration.path, key: "\(key).rope_theta", expected: "a number above 0",
            found: theta.description)
        }
        base = number
      }
    }
    return base
  }
}
