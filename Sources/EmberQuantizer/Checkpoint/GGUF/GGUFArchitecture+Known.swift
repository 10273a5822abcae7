import EmberModel

// Each follows the converter and the graph of llama.cpp (<https://github.com/ggml-org/llama.cpp>,
// convert_hf_to_gguf.py and src/models).

extension GGUFArchitecture {
  /// Llama 1 to 3.2 and Mistral; Mixtral, where there are experts. The converter reorders the rows of
  /// query and key so that adjacent elements turn together.
  static let llama = GGUFArchitecture(name: "llama") { model throws(CheckpointError) in
    let experts = try model.experts(normalizes: true, width: nil)
    var architecture = try model.architecture(
      experts == nil ? "LlamaForCausalLM" : "MixtralForCausalLM", pairing: .adjacent,
      feedForward: .gated, activation: .silu)
    try model.setWindow(of: &architecture)
    if experts == nil, architecture.attention.window != nil {
      architecture.name = "MistralForCausalLM"
    }
    architecture.feedForward.experts = experts
    return (architecture, tensorNames(gated: true, experts: experts))
  }

  /// Qwen 2 and 2.5: Llama with biases of query, key and value.
  static let qwen2 = GGUFArchitecture(name: "qwen2") { model throws(CheckpointError) in
    (
      try model.architecture(
        "Qwen2ForCausalLM", pairing: .halves, feedForward: .gated, activation: .silu),
      tensorNames(gated: true)
    )
  }

  /// Qwen 3: norms of every head's query and key in place of the biases.
  static let qwen3 = GGUFArchitecture(name: "qwen3") { model throws(CheckpointError) in
    (
      try model.architecture(
        "Qwen3ForCausalLM", pairing: .halves, feedForward: .gated, activation: .silu),
      tensorNames(gated: true, norms: headNorms)
    )
  }

  /// Qwen1.5-MoE and Qwen2-MoE: experts, and one that every token is given to. llama.cpp never makes
  /// the experts' weights add up to 1, nor do the models.
  static let qwen2Moe = GGUFArchitecture(name: "qwen2moe") { model throws(CheckpointError) in
    let shared = try model.metadata.count("expert_shared_feed_forward_length")
    var experts = try model.requiredExperts(normalizes: false)
    experts.sharedWidth = shared
    var architecture = try model.architecture(
      "Qwen2MoeForCausalLM", pairing: .halves, feedForward: .gated, activation: .silu)
    architecture.feedForward.experts = experts
    architecture.feedForwardWidth = shared
    return (architecture, tensorNames(gated: true, experts: experts))
  }

  /// Qwen3-MoE: Qwen3 with experts, whose weights add up to 1.
  static let qwen3Moe = GGUFArchitecture(name: "qwen3moe") { model throws(CheckpointError) in
    let experts = try model.requiredExperts(normalizes: true)
    var architecture = try model.architecture(
      "Qwen3MoeForCausalLM", pairing: .halves, feedForward: .gated, activation: .silu)
    architecture.feedForward.experts = experts
    architecture.feedForwardWidth = experts.width
    return (architecture, tensorNames(gated: true, norms: headNorms, experts: experts))
  }

  /// Gemma: Llama with GELU and an embedding times √width. The converter has added 1 to all gains.
  static let gemma = GGUFArchitecture(name: "gemma") { model throws(CheckpointError) in
    (try model.gemma("GemmaForCausalLM"), tensorNames(gated: true))
  }

  /// Gemma 2: norms before and behind each block, soft caps, windows in every second layer.
  static let gemma2 = GGUFArchitecture(name: "gemma2") { model throws(CheckpointError) in
    var architecture = try model.gemma("Gemma2ForCausalLM")
    architecture.attention.softCap =
      try model.metadata.positive("attn_logit_softcapping") ?? 50
    architecture.logitSoftCap = try model.metadata.positive("final_logit_softcapping") ?? 30
    // What llama.cpp computes, which the file does not say: it knows the largest model by its layers.
    if architecture.layerCount == 46 { model.setScaleByWidth(of: &architecture) }
    try model.setWindow(of: &architecture, default: 4096, period: 2)
    return (architecture, tensorNames(gated: true, norms: outputNorms))
  }

  /// Gemma 3, text: norms of query and key for the cap of scores, and another base of the rotary
  /// embedding in layers with a window.
  static let gemma3 = GGUFArchitecture(name: "gemma3") { model throws(CheckpointError) in
    var architecture = try model.gemma("Gemma3ForCausalLM")
    if architecture.layerCount == 62 { model.setScaleByWidth(of: &architecture) }
    try model.metadata.require("final_logit_softcapping", .integer(0), .number(0))
    try model.setWindow(of: &architecture, period: 6)
    if case .rotary(let base, let dimensions, let pairing, let scaling, _) = architecture.position {
      architecture.position = .rotary(
        base: base, dimensions: dimensions, pairing: pairing, scaling: scaling,
        localBase: try model.metadata.positive("rope.freq_base_swa") ?? 10_000)
    }
    return (
      architecture,
      tensorNames(gated: true, norms: outputNorms.merging(headNorms) { $1 })
    )
  }

  /// Phi-3: Llama with fused matrices and a window.
  static let phi3 = GGUFArchitecture(name: "phi3") { model throws(CheckpointError) in
    var architecture = try model.architecture(
      "Phi3ForCausalLM", pairing: .halves, feedForward: .gated, activation: .silu)
    try model.setWindow(of: &architecture)
    return (
      architecture, tensorNames(gated: true, fused: [.query, .key, .value], fusedUp: true)
    )
  }

  /// GPT-NeoX and Pythia: both blocks read the same stream, heads turn in part. The converter sorts
  /// the fused matrix by query, key and value instead of by heads.
  static let gptNeoX = GGUFArchitecture(name: "gptneox") { model throws(CheckpointError) in
    var architecture = try model.architecture(
      "GPTNeoXForCausalLM", pairing: .halves, feedForward: .plain, activation: .gelu)
    if model.metadata.value("use_parallel_residual") != .boolean(false) {
      architecture.residual = .parallel
    }
    return (architecture, tensorNames(gated: false, fused: [.query, .key, .value]))
  }

  /// GPT-2, its one-wide convolutions turned into linear layers by the converter.
  static let gpt2 = GGUFArchitecture(name: "gpt2") { model throws(CheckpointError) in
    (
      try model.architecture(
        "GPT2LMHeadModel", pairing: nil, feedForward: .plain, activation: .geluTanh),
      tensorNames(gated: false, position: "position_embd", fused: [.query, .key, .value])
    )
  }

  /// BLOOM: ALiBi for positions, a norm of the embedding; the fused matrix sorted as in GPT-NeoX's.
  static let bloom = GGUFArchitecture(name: "bloom") { model throws(CheckpointError) in
    var architecture = try model.architecture(
      "BloomForCausalLM", pairing: nil, feedForward: .plain, activation: .geluTanh)
    architecture.position = .linearBias
    var names = tensorNames(gated: false, fused: [.query, .key, .value])
    names.embeddingNorm = "token_embd_norm"
    return (architecture, names)
  }

  private static let headNorms: [TensorName.Norm: String] = [
    .query: "attn_q_norm", .key: "attn_k_norm",
  ]
  private static let outputNorms: [TensorName.Norm: String] = [
    .attentionOutput: "post_attention_norm", .feedForwardOutput: "post_ffw_norm",
  ]
}

extension GGUFModel {
  /// What the metadata of all decoders says.
  ///
  /// - Parameter pairing: nil for learned positions.
  func architecture(
    _ name: String, pairing: Architecture.RotaryPairing?,
    feedForward: Architecture.FeedForward.Kind,
    activation: Architecture.FeedForward.Activation
  ) throws(CheckpointError) -> Architecture {
    let width = try metadata.count("embedding_length")
    let attention = try attention(width: width)
    let position: Architecture.Position
    if let pairing {
      position = try rotary(headDimension: attention.headDimension, pairing: pairing)
    } else {
      position = .learned
    }
    return Architecture(
      name: name,
      vocabularySize: try vocabularySize(),
      width: width,
      layerCount: try metadata.count("block_count"),
      feedForwardWidth: try metadata.count("feed_forward_length"),
      contextLength: try metadata.count("context_length"),
      norm: try norm(),
      position: position,
      attention: attention,
      feedForward: .init(kind: feedForward, activation: activation),
      tiedHead: tiedHead)
  }

  /// What all of Gemma's models have alike.
  func gemma(_ name: String) throws(CheckpointError) -> Architecture {
    var architecture = try architecture(
      name, pairing: .halves, feedForward: .gated, activation: .geluTanh)
    architecture.embeddingScale = Float(architecture.width).squareRoot()
    return architecture
  }

  /// Scores times 1 / √(width / heads), whatever the heads' own dimension is.
  func setScaleByWidth(of architecture: inout Architecture) {
    let quotient = architecture.width / architecture.attention.headCount
    architecture.attention.scale = 1 / Float(max(1, quotient)).squareRoot()
  }

  /// The window, where there is one and it is shorter than the context.
  ///
  /// - Parameters:
  ///   - length: where the file says nothing.
  ///   - period: every so many layers one without a window, where the file does not say; nil for
  ///     windows in all layers.
  func setWindow(
    of architecture: inout Architecture, default length: Int? = nil, period: Int? = nil
  ) throws(CheckpointError) {
    var window = length
    if let value = metadata.value("attention.sliding_window"), value != .integer(0) {
      window = try metadata.count("attention.sliding_window")
    }
    guard let window, window < architecture.contextLength else { return }
    architecture.attention.window = window
    guard let period else { return }
    let found = try metadata.count("attention.sliding_window_pattern", default: period)
    let global = (0..<min(architecture.layerCount, 1 << 16)).filter { ($0 + 1) % found == 0 }
    architecture.attention.globalLayers = global.isEmpty ? nil : global
  }

  /// The experts, nil where there are none.
  ///
  /// - Parameter width: of each; nil for `feed_forward_length`.
  func experts(
    normalizes: Bool, width: Int?
  ) throws(CheckpointError) -> Architecture.Experts? {
    guard let count = metadata.value("expert_count"), count != .integer(0) else { return nil }
    let inner: Int
    if let width { inner = width } else { inner = try metadata.count("feed_forward_length") }
    return .init(
      count: try metadata.count("expert_count"), used: try metadata.count("expert_used_count"),
      width: inner, normalizes: normalizes)
  }

  /// The same where the architecture is one of experts, whose width has a key of its own.
  func requiredExperts(normalizes: Bool) throws(CheckpointError) -> Architecture.Experts {
    let width = try metadata.count("expert_feed_forward_length")
    guard let experts = try experts(normalizes: normalizes, width: width) else {
      throw .missingKey(path: metadata.path, key: "\(metadata.architecture).expert_count")
    }
    return experts
  }
}
