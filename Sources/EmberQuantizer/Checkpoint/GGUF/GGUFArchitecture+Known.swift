import EmberModel

// Each follows the converter and the graph of llama.cpp (<https://github.com/ggml-org/llama.cpp>,
// convert_hf_to_gguf.py and src/models).

extension GGUFArchitecture {
  /// Llama 1 to 3.2 and Mistral. The converter reorders the rows of query and key so that adjacent
  /// elements turn together.
  static let llama = GGUFArchitecture(name: "llama") { model throws(CheckpointError) in
    try model.metadata.require("expert_count", .integer(0))
    return (
      try model.architecture(
        "LlamaForCausalLM", pairing: .adjacent, feedForward: .gated, activation: .silu),
      tensorNames(gated: true)
    )
  }

  /// Qwen 2 and 2.5: Llama with biases of query, key and value.
  static let qwen2 = GGUFArchitecture(name: "qwen2") { model throws(CheckpointError) in
    (
      try model.architecture(
        "Qwen2ForCausalLM", pairing: .halves, feedForward: .gated, activation: .silu),
      tensorNames(gated: true)
    )
  }

  /// Phi-3: Llama with fused matrices and a window.
  static let phi3 = GGUFArchitecture(name: "phi3") { model throws(CheckpointError) in
    var architecture = try model.architecture(
      "Phi3ForCausalLM", pairing: .halves, feedForward: .gated, activation: .silu)
    if model.metadata.value("attention.sliding_window") != nil,
      model.metadata.value("attention.sliding_window") != .integer(0)
    {
      let window = try model.metadata.count("attention.sliding_window")
      architecture.attention.window = window < architecture.contextLength ? window : nil
    }
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
}
