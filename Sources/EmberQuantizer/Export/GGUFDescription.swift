import EmberModel
import Foundation

/// The metadata of a GGUF file that describes a model: what `GGUFArchitecture` reads, the other way
/// round.
struct GGUFDescription {
  /// What the format calls the architecture.
  let name: String
  private(set) var fields: [(key: String, value: GGUFField)] = []
  /// What the rotary embedding's frequencies are divided by, as tensors.
  private(set) var factors: [(name: String, values: [Float])] = []
  /// What a user should know.
  private(set) var warnings: [String] = []

  private let architecture: Architecture

  private static let names: [String: String] = [
    "LlamaForCausalLM": "llama", "llama2.c": "llama", "MistralForCausalLM": "llama",
    "MixtralForCausalLM": "llama", "Qwen2ForCausalLM": "qwen2", "Qwen2MoeForCausalLM": "qwen2moe",
    "Qwen3ForCausalLM": "qwen3", "Qwen3MoeForCausalLM": "qwen3moe", "GemmaForCausalLM": "gemma",
    "Gemma2ForCausalLM": "gemma2", "Gemma3ForCausalLM": "gemma3",
    "Gemma3ForConditionalGeneration": "gemma3", "Phi3ForCausalLM": "phi3",
    "GPTNeoXForCausalLM": "gptneox", "GPT2LMHeadModel": "gpt2", "BloomForCausalLM": "bloom",
  ]

  static var known: [String] { names.keys.sorted() }

  /// - Returns: nil for an architecture that llama.cpp has no name for, or Ember does not know it.
  init?(_ architecture: Architecture) {
    guard let name = Self.names[architecture.name] else { return nil }
    self.name = name
    self.architecture = architecture
    addSizes()
    addAttention()
    addPosition()
    addExperts()
  }

  /// The biases that llama.cpp adds in the layers of this architecture, and whether all of them must
  /// be there.
  var biases: (matrices: Set<TensorName.Matrix>, areRequired: Bool) {
    let all: Set<TensorName.Matrix> = [.query, .key, .value, .attentionOutput, .gate, .up, .down]
    return switch name {
    case "llama": (all, false)
    case "qwen2", "qwen2moe": ([.query, .key, .value], true)
    case "gptneox", "gpt2", "bloom": (all.subtracting([.gate]), true)
    default: ([], true)
    }
  }

  private mutating func add(_ key: String, _ value: GGUFField) {
    fields.append(("\(name).\(key)", value))
  }

  private mutating func add(_ values: [(String, Int)]) {
    for (key, value) in values { add(key, .uint32(value)) }
  }

  private mutating func addSizes() {
    let a = architecture
    add([
      ("vocab_size", a.vocabularySize), ("context_length", a.contextLength),
      ("embedding_length", a.width), ("block_count", a.layerCount),
      ("feed_forward_length", a.feedForwardWidth),
    ])
    add(
      a.norm.kind == .layer
        ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon",
      .float32(a.norm.epsilon))
    if name == "gptneox" { add("use_parallel_residual", .boolean(a.residual == .parallel)) }
  }

  private mutating func addAttention() {
    let a = architecture.attention
    add([
      ("attention.head_count", a.headCount), ("attention.head_count_kv", a.keyValueHeadCount),
      ("attention.key_length", a.headDimension), ("attention.value_length", a.headDimension),
    ])
    if let cap = a.softCap { add("attn_logit_softcapping", .float32(cap)) }
    if let cap = architecture.logitSoftCap { add("final_logit_softcapping", .float32(cap)) }
    addWindow()
  }

  private mutating func addWindow() {
    let a = architecture.attention
    let usual = name == "gemma2" ? 2 : name == "gemma3" ? 6 : nil
    guard let window = a.window else {
      // What such a file would otherwise be taken to have.
      if usual != nil { add("attention.sliding_window", .uint32(architecture.contextLength)) }
      return
    }
    add("attention.sliding_window", .uint32(window))
    guard let usual else {
      if window < architecture.contextLength {
        warnings.append(
          "llama.cpp computes no window for the architecture \(name): after \(window) tokens its"
            + " results differ")
      }
      return
    }
    let period = (a.globalLayers?.first).map { $0 + 1 } ?? architecture.layerCount + 1
    let isUsual = (0..<architecture.layerCount).allSatisfy {
      architecture.isLocal(layer: $0) == (($0 + 1) % usual != 0)
    }
    if !isUsual { add("attention.sliding_window_pattern", .uint32(period)) }
  }

  private mutating func addExperts() {
    guard let experts = architecture.feedForward.experts else { return }
    add([("expert_count", experts.count), ("expert_used_count", experts.used)])
    if name == "llama" { return }
    add("expert_feed_forward_length", .uint32(experts.width))
    if let width = experts.sharedWidth {
      add("expert_shared_feed_forward_length", .uint32(width))
    }
  }

  // MARK: Rotary embedding

  private mutating func addPosition() {
    guard
      case .rotary(let base, let dimensions, _, let scaling, let localBase) =
        architecture.position
    else { return }
    add("rope.dimension_count", .uint32(dimensions))
    add("rope.freq_base", .float32(base))
    if let localBase, localBase != 10_000 { add("rope.freq_base_swa", .float32(localBase)) }
    switch scaling {
    case nil, .dynamic: break  // The latter has no name: comparing with what is read finds it.
    case .linear(let factor):
      add("rope.scaling.type", .text("linear"))
      add("rope.scaling.factor", .float32(factor))
    case .yarn(let factor, let original, let fast, let slow, let attention, _):
      add("rope.scaling.type", .text("yarn"))
      add("rope.scaling.factor", .float32(factor))
      add("rope.scaling.original_context_length", .uint32(original))
      add("rope.scaling.yarn_beta_fast", .float32(fast))
      add("rope.scaling.yarn_beta_slow", .float32(slow))
      if fast != 32 || slow != 1 {
        warnings.append(
          "not every program on llama.cpp heeds YaRN's turns in the file: tell it"
            + " --yarn-beta-fast \(fast) and --yarn-beta-slow \(slow)")
      }
      // The rest is what every reader works out from the factor.
      let rest = attention / (1 + 0.1 * log(max(factor, 1)))
      if abs(rest - 1) > 1e-6 { add("rope.scaling.attn_factor", .float32(rest)) }
    case .llama3(_, _, _, let original):
      guard name == "llama" else { break }
      add("rope.scaling.original_context_length", .uint32(original))
      factors = [
        ("rope_freqs.weight", scaling?.divisors(base: base, dimensions: dimensions) ?? [])
      ]
    case .longRope(let short, let long, let original, let attention):
      guard name == "llama" || name == "phi3" else { break }
      add("rope.scaling.original_context_length", .uint32(original))
      if name == "llama", short == long, attention == 1 {
        factors = [("rope_freqs.weight", short)]
        break
      }
      if name == "llama" { add("rope.scaling.type", .text("longrope")) }
      add("rope.scaling.attn_factor", .float32(attention))
      factors = [("rope_factors_long.weight", long), ("rope_factors_short.weight", short)]
    }
  }
}
