import EmberModel
import EmberTokenizer
import Foundation

/// The `config.json` of a model: what `HuggingFaceArchitecture` reads, the other way round.
///
/// Keys are those that transformers has had since its version 4; version 5 reads them too.
struct HuggingFaceDescription {
  typealias JSON = EmberTokenizer.JSONValue

  /// What the format calls the architecture.
  let name: String
  private let architecture: Architecture
  /// Matrices of the layers that have a bias.
  private let biases: Set<TensorName.Matrix>
  private let hasFinalNorm: Bool
  /// Whether norms come before the blocks, and not behind the sums.
  private let normsFirst: Bool
  private var members: [JSON.Member] = []

  /// The values of `model_type` by architecture.
  private static let modelTypes: [String: String] = [
    "LlamaForCausalLM": "llama", "MistralForCausalLM": "mistral", "Qwen2ForCausalLM": "qwen2",
    "Qwen3ForCausalLM": "qwen3", "MixtralForCausalLM": "mixtral",
    "Qwen2MoeForCausalLM": "qwen2_moe", "Qwen3MoeForCausalLM": "qwen3_moe",
    "GemmaForCausalLM": "gemma", "Gemma2ForCausalLM": "gemma2",
    "Gemma3ForCausalLM": "gemma3_text", "Phi3ForCausalLM": "phi3", "PhiForCausalLM": "phi",
    "StableLmForCausalLM": "stablelm", "Starcoder2ForCausalLM": "starcoder2",
    "GPTNeoXForCausalLM": "gpt_neox", "GPTJForCausalLM": "gptj", "GPT2LMHeadModel": "gpt2",
    "OPTForCausalLM": "opt", "BloomForCausalLM": "bloom",
  ]

  /// What the architectures are called that have a name of their own elsewhere.
  private static let renamed = [
    // llama2.c's models are Llama's in all but the order of a head's elements.
    "llama2.c": "LlamaForCausalLM",
    // Of a model that sees pictures only the text's part is left.
    "Gemma3ForConditionalGeneration": "Gemma3ForCausalLM",
  ]

  static var known: [String] { modelTypes.keys.sorted() }

  /// - Parameter hasTensor: whether the model has one of this name.
  /// - Returns: nil for an architecture that the format has no name for.
  init?(
    _ architecture: Architecture, beginOfSequence: Int?, endOfSequence: Int?, stopTokens: [Int],
    hasTensor: (String) -> Bool
  ) {
    name = Self.renamed[architecture.name] ?? architecture.name
    guard let type = Self.modelTypes[name] else { return nil }
    self.architecture = architecture
    biases = Set(
      TensorName.Matrix.allCases.filter { hasTensor(TensorName.bias($0, layer: 0)) })
    hasFinalNorm = hasTensor(TensorName.finalNorm)
    normsFirst = hasTensor(TensorName.weight(.attention, layer: 0))
    add("architectures", .array([.string(name)]))
    add("model_type", .string(type))
    add("vocab_size", .integer(architecture.vocabularySize))
    add("tie_word_embeddings", .bool(architecture.tiedHead))
    add("bos_token_id", optional(beginOfSequence))
    let ends = stopTokens.isEmpty ? [endOfSequence].compactMap { $0 } : stopTokens
    add("eos_token_id", ends.count > 1 ? .array(ends.map { .integer($0) }) : optional(ends.first))
    // Some configurations have a default that would lie outside of a small vocabulary.
    add("pad_token_id", .null)
    add("torch_dtype", .string("float16"))
    add("dtype", .string("float16"))
    addArchitecture()
  }

  var json: [UInt8] {
    var text = JSONText()
    text.value(.object(members))
    return text.bytes
  }

  // MARK: Parts

  private mutating func add(_ key: String, _ value: JSON) {
    members.append(.init(key: key, value: value))
  }

  private mutating func add(_ values: [(String, Int)]) {
    for (key, value) in values { add(key, .integer(value)) }
  }

  private func optional(_ value: Int?) -> JSON { value.map { .integer($0) } ?? .null }

  /// The shortest digits that give the same number in single precision.
  private func number(_ value: Float) -> JSON { .number(Double("\(value)") ?? Double(value)) }
  private func optional(_ value: Float?) -> JSON { value.map { number($0) } ?? .null }

  private func hasBias(_ matrix: TensorName.Matrix) -> JSON { .bool(biases.contains(matrix)) }

  private var activation: JSON {
    switch architecture.feedForward.activation {
    case .silu: .string("silu")
    case .gelu: .string("gelu")
    case .relu: .string("relu")
    case .geluTanh: .string(name.hasPrefix("Gemma") ? "gelu_pytorch_tanh" : "gelu_new")
    }
  }

  private mutating func addArchitecture() {
    switch name {
    case "GPT2LMHeadModel", "GPTJForCausalLM": addGPT()
    case "GPTNeoXForCausalLM": addGPTNeoX()
    case "OPTForCausalLM": addOPT()
    case "BloomForCausalLM": addBloom()
    default: addDescendantOfLlama()
    }
  }

  // MARK: Llama's descendants

  private mutating func addDescendantOfLlama() {
    let a = architecture
    add([
      ("hidden_size", a.width), ("intermediate_size", a.feedForwardWidth),
      ("num_hidden_layers", a.layerCount), ("num_attention_heads", a.attention.headCount),
      ("num_key_value_heads", a.attention.keyValueHeadCount),
      ("head_dim", a.attention.headDimension),
    ])
    switch name {
    case "PhiForCausalLM", "StableLmForCausalLM":
      add("layer_norm_eps", number(a.norm.epsilon))
    case "Starcoder2ForCausalLM": add("norm_epsilon", number(a.norm.epsilon))
    default: add("rms_norm_eps", number(a.norm.epsilon))
    }
    add("hidden_act", activation)
    addRotary()
    switch name {
    case "LlamaForCausalLM":
      add("attention_bias", hasBias(.query))
      add("mlp_bias", hasBias(.up))
    case "MistralForCausalLM", "MixtralForCausalLM", "Phi3ForCausalLM":
      add("sliding_window", optional(a.attention.window))
    case "Qwen2ForCausalLM": addWindowOfQwen()
    case "Qwen3ForCausalLM", "Qwen3MoeForCausalLM":
      add("attention_bias", hasBias(.query))
      addWindowOfQwen()
    case "Qwen2MoeForCausalLM":
      add("qkv_bias", hasBias(.query))
      addWindowOfQwen()
    case "StableLmForCausalLM":
      add("use_qkv_bias", hasBias(.query))
      add("use_parallel_residual", .bool(a.residual == .parallel))
      add("qk_layernorm", .bool(false))
    case "PhiForCausalLM": add("qk_layernorm", .bool(false))
    case "Starcoder2ForCausalLM":
      add("use_bias", hasBias(.query))
      add("norm_type", .string("layer_norm"))
      add("mlp_type", .string("default"))
      add("sliding_window", optional(a.attention.window))
    default: addGemma()
    }
    addExperts()
  }

  private mutating func addWindowOfQwen() {
    add("use_sliding_window", .bool(architecture.attention.window != nil))
    add("sliding_window", optional(architecture.attention.window))
    if architecture.attention.window != nil { addLayerTypes() }
  }

  private mutating func addLayerTypes() {
    add(
      "layer_types",
      .array(
        (0..<architecture.layerCount).map {
          .string(architecture.isLocal(layer: $0) ? "sliding_attention" : "full_attention")
        }))
  }

  private mutating func addGemma() {
    let a = architecture
    add("hidden_activation", activation)
    add("attention_bias", .bool(false))
    if name == "GemmaForCausalLM" { return }
    let scale = a.attention.scale ?? 1 / Float(a.attention.headDimension).squareRoot()
    let scalar = (1 / (scale * scale)).rounded()
    add("query_pre_attn_scalar", .integer(scalar > 0 && scalar < 1e6 ? Int(scalar) : 1))
    add("attn_logit_softcapping", optional(a.attention.softCap))
    add("final_logit_softcapping", optional(a.logitSoftCap))
    add("sliding_window", .integer(a.attention.window ?? a.contextLength))
    addLayerTypes()
    if case .rotary(_, _, _, _, let localBase?) = a.position {
      add("rope_local_base_freq", number(localBase))
    }
  }

  private mutating func addExperts() {
    guard let experts = architecture.feedForward.experts else { return }
    if name == "MixtralForCausalLM" {
      add([("num_local_experts", experts.count), ("num_experts_per_tok", experts.used)])
      return
    }
    add([
      ("num_experts", experts.count), ("num_experts_per_tok", experts.used),
      ("moe_intermediate_size", experts.width), ("decoder_sparse_step", 1),
    ])
    if let width = experts.sharedWidth { add("shared_expert_intermediate_size", .integer(width)) }
    add("norm_topk_prob", .bool(experts.normalizes))
    add("mlp_only_layers", .array([]))
  }

  // MARK: Rotary embedding

  private mutating func addRotary(
    baseKey: String = "rope_theta", shareKey: String = "partial_rotary_factor"
  ) {
    guard case .rotary(let base, let dimensions, _, let scaling, _) = architecture.position else {
      return
    }
    // Dynamic scaling is counted from the length before it.
    var length = architecture.contextLength
    if case .dynamic(_, let original)? = scaling { length = original }
    add("max_position_embeddings", .integer(length))
    add(baseKey, number(base))
    let headDimension = architecture.attention.headDimension
    if dimensions != headDimension
      || ["PhiForCausalLM", "StableLmForCausalLM", "GPTNeoXForCausalLM"]
        .contains(name)
    {
      add(shareKey, .number(Double(dimensions) / Double(headDimension)))
    }
    if case .longRope(_, _, let original, _)? = scaling, name == "Phi3ForCausalLM" {
      add("original_max_position_embeddings", .integer(original))
    }
    add("rope_scaling", scaling.map { rotaryScaling($0) } ?? .null)
  }

  private func rotaryScaling(_ scaling: Architecture.RotaryScaling) -> JSON {
    func object(_ type: String, _ members: [(String, JSON)]) -> JSON {
      // The first Phi-3 wants exactly the three keys that it knows.
      let key = type == "longrope" && name == "Phi3ForCausalLM" ? "type" : "rope_type"
      return .object(
        [.init(key: key, value: .string(type))] + members.map { .init(key: $0, value: $1) })
    }
    func context(_ length: Int) -> (String, JSON) {
      ("original_max_position_embeddings", .integer(length))
    }
    switch scaling {
    case .linear(let factor): return object("linear", [("factor", number(factor))])
    case .dynamic(let factor, _): return object("dynamic", [("factor", number(factor))])
    case .yarn(let factor, let original, let fast, let slow, let attention, let truncates):
      return object(
        "yarn",
        [
          ("factor", number(factor)), context(original), ("beta_fast", number(fast)),
          ("beta_slow", number(slow)), ("attention_factor", number(attention)),
          ("truncate", .bool(truncates)),
        ])
    case .llama3(let factor, let low, let high, let original):
      return object(
        "llama3",
        [
          ("factor", number(factor)), ("low_freq_factor", number(low)),
          ("high_freq_factor", number(high)), context(original),
        ])
    case .longRope(let short, let long, let original, let attention):
      let factors: [(String, JSON)] = [
        ("short_factor", .array(short.map { number($0) })),
        ("long_factor", .array(long.map { number($0) })),
      ]
      if name == "Phi3ForCausalLM", attention == usualFactor(original) {
        return object("longrope", factors)
      }
      return object(
        "longrope", factors + [context(original), ("attention_factor", number(attention))])
    }
  }

  /// Of LongRoPE, what readers work out from the two lengths.
  private func usualFactor(_ original: Int) -> Float {
    let factor = Double(architecture.contextLength) / Double(original)
    guard factor > 1 else { return 1 }
    return Float((1 + log(factor) / log(Double(original))).squareRoot())
  }

  // MARK: Others

  private mutating func addGPT() {
    let a = architecture
    add([
      ("n_embd", a.width), ("n_layer", a.layerCount), ("n_head", a.attention.headCount),
      ("n_positions", a.contextLength), ("n_inner", a.feedForwardWidth),
    ])
    add("layer_norm_epsilon", number(a.norm.epsilon))
    add("activation_function", activation)
    if case .rotary(_, let dimensions, _, _, _) = a.position {
      add("rotary_dim", .integer(dimensions))
    } else {
      add("n_ctx", .integer(a.contextLength))
    }
  }

  private mutating func addGPTNeoX() {
    let a = architecture
    add([
      ("hidden_size", a.width), ("intermediate_size", a.feedForwardWidth),
      ("num_hidden_layers", a.layerCount), ("num_attention_heads", a.attention.headCount),
    ])
    add("layer_norm_eps", number(a.norm.epsilon))
    add("hidden_act", activation)
    add("use_parallel_residual", .bool(a.residual == .parallel))
    add("attention_bias", hasBias(.query))
    addRotary(baseKey: "rotary_emb_base", shareKey: "rotary_pct")
  }

  private mutating func addOPT() {
    let a = architecture
    add([
      ("hidden_size", a.width), ("ffn_dim", a.feedForwardWidth),
      ("num_hidden_layers", a.layerCount), ("num_attention_heads", a.attention.headCount),
      ("max_position_embeddings", a.contextLength), ("word_embed_proj_dim", a.width),
    ])
    add("activation_function", activation)
    add("do_layer_norm_before", .bool(normsFirst))
    add("_remove_final_layer_norm", .bool(normsFirst && !hasFinalNorm))
    add("layer_norm_elementwise_affine", .bool(true))
    add("enable_bias", hasBias(.query))
  }

  private mutating func addBloom() {
    let a = architecture
    add([
      ("hidden_size", a.width), ("n_layer", a.layerCount), ("n_head", a.attention.headCount),
      ("seq_length", a.contextLength),
    ])
    add("layer_norm_epsilon", number(a.norm.epsilon))
    add("apply_residual_connection_post_layernorm", .bool(false))
  }
}
