import Ember
import EmberTestSupport
import Foundation
import Testing

/// Files of older versions of transformers, and what Ember must refuse.
@Suite("Configurations of architectures")
struct ArchitectureConfigurationTests {
  /// Opens a fixture whose configuration has some keys changed; nil takes a key away.
  private func open(
    _ name: String, _ changes: [String: Any?] = [:]
  ) throws -> Checkpoint {
    let checkpoint = try #require(ArchitectureCheckpoint.all.first { $0.name == name })
    let folder = try TestData.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let place = folder.appending(path: name)
    try checkpoint.write(to: place, weights: try ArchitectureReference(checkpoint).weights)
    let file = place.appending(path: "config.json")
    let parsed = try JSONSerialization.jsonObject(with: Data(contentsOf: file))
    var values = try #require(parsed as? [String: Any])
    for (key, value) in changes { values[key] = value }
    try JSONSerialization.data(withJSONObject: values).write(to: file)
    return try CheckpointReader.open(FilePath(place.path))
  }

  /// The error of the same.
  private func openingError(_ name: String, _ changes: [String: Any?]) -> CheckpointError? {
    do {
      _ = try open(name, changes)
      return nil
    } catch { return error as? CheckpointError }
  }

  @Test("older keys mean the same as newer ones")
  func olderKeys() throws {
    func expectSame(_ name: String, _ changes: [String: Any?]) throws {
      #expect(try open(name, changes).architecture == open(name).architecture, "\(name)")
    }
    let none: Any? = nil
    try expectSame("llama", ["rope_parameters": none, "rope_theta": 10_000.0])
    try expectSame("llama", ["rope_parameters": none, "head_dim": 16, "rope_scaling": NSNull()])
    try expectSame(
      "llama-linear", ["rope_parameters": none, "rope_scaling": ["type": "linear", "factor": 4.0]])
    try expectSame(
      "llama-dynamic",
      ["rope_parameters": none, "rope_scaling": ["type": "dynamic", "factor": 8.0]])
    try expectSame(
      "llama-3.1",
      [
        "rope_parameters": none, "rope_theta": 10_000.0,
        "rope_scaling": [
          "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 64,
        ],
      ])
    try expectSame(
      "llama-yarn",
      [
        "rope_parameters": none,
        "rope_scaling": [
          "type": "yarn", "original_max_position_embeddings": 64, "beta_fast": 2,
          "mscale": 0, "truncate": true,
        ],
      ])
    let short = [1, 1.05, 1.1, 1.2, 1.3, 1.4]
    let long = [1, 1.3, 2, 3.1, 4.7, 6]
    try expectSame(
      "phi3-longrope",
      [
        "rope_parameters": none, "partial_rotary_factor": 0.75,
        "rope_scaling": ["type": "su", "short_factor": short, "long_factor": long],
      ])
    try expectSame(
      "gemma2", ["rope_parameters": none, "rope_theta": 10_000, "layer_types": none])
    try expectSame(
      "gemma3",
      [
        "rope_parameters": none, "rope_theta": 1_000_000.0, "rope_local_base_freq": 10_000.0,
        "rope_scaling": ["rope_type": "linear", "factor": 8.0], "layer_types": none,
        "sliding_window_pattern": 2,
      ])
    try expectSame("qwen2-window", ["layer_types": none])
    try expectSame("qwen2", ["layer_types": none])
    try expectSame(
      "gpt-neox", ["rope_parameters": none, "rotary_pct": 0.5, "rotary_emb_base": 10_000])
    try expectSame("bloom", ["hidden_size": none, "n_embed": 24])
  }

  @Test("what the sizes of a class are, where the file does not say")
  func defaults() throws {
    let none: Any? = nil
    let mistral = try open("mistral", ["sliding_window": none]).architecture
    #expect(mistral.attention.window == 4096)
    #expect(try open("mistral", ["sliding_window": NSNull()]).architecture.attention.window == nil)
    let gemma = try open(
      "gemma2", ["attn_logit_softcapping": none, "final_logit_softcapping": none]
    ).architecture
    #expect(gemma.attention.softCap == 50 && gemma.logitSoftCap == 30)
    let uncapped = try open(
      "gemma2", ["attn_logit_softcapping": NSNull(), "final_logit_softcapping": NSNull()]
    ).architecture
    #expect(uncapped.attention.softCap == nil && uncapped.logitSoftCap == nil)
    #expect(
      try open("gemma", ["hidden_act": "gelu"]).architecture.feedForward.activation == .geluTanh)
  }

  @Test("contexts that a scaling stretches")
  func contexts() throws {
    #expect(try open("llama-dynamic").architecture.contextLength == 512)
    #expect(
      try open("llama-yarn", ["max_position_embeddings": 64]).architecture.contextLength == 512)
    #expect(try open("llama-3.1").architecture.contextLength == 512)
  }

  @Test(
    "other mathematics is refused by name",
    arguments: [
      ("opt", "word_embed_proj_dim", "16"), ("opt", "layer_norm_elementwise_affine", "false"),
      ("opt", "activation_function", "\"mish\""),
      ("bloom", "apply_residual_connection_post_layernorm", "true"),
      ("gemma3", "attn_logit_softcapping", "50.0"),
      ("gemma2", "use_bidirectional_attention", "true"), ("phi", "qk_layernorm", "true"),
      ("stablelm", "qk_layernorm", "true"), ("mistral", "layer_types", "[\"full_attention\"]"),
      ("qwen2-window", "layer_types", "[\"full_attention\", \"chunked_attention\"]"),
      ("llama", "rope_scaling", "{\"rope_type\": \"mrope\"}"),
      ("phi3", "rope_scaling", "{\"rope_type\": \"yarn\", \"factor\": 2}"),
      ("starcoder2", "norm_type", "\"rms_norm\""), ("gpt2", "scale_attn_weights", "false"),
      ("gpt-j", "activation_function", "\"quick_gelu\""),
      ("qwen3", "quantization_config", "{\"bits\": 4}"),
    ])
  func refusals(name: String, key: String, value: String) throws {
    let parsed = try JSONSerialization.jsonObject(
      with: Data(value.utf8), options: [.fragmentsAllowed])
    let error = try #require(openingError(name, [key: parsed]))
    #expect(error.category == .unsupported, "\(error)")
    #expect(error.description.contains(key) && !error.description.contains("\n"), "\(error)")
  }

  @Test(
    "broken values are errors that name the key",
    arguments: [
      ("qwen2-window", "layer_types", "[\"full_attention\"]"),
      ("qwen2-window", "layer_types", "7"), ("gemma3", "sliding_window", "0"),
      ("gemma2", "attn_logit_softcapping", "-1"), ("gpt-neox", "num_attention_heads", "5"),
      ("llama", "rope_scaling", "{\"type\": \"linear\"}"),
      ("llama", "rope_scaling", "{\"type\": \"llama3\", \"factor\": 8}"),
      ("llama", "rope_scaling", "{\"type\": \"linear\", \"factor\": \"8\"}"),
      ("llama", "rope_scaling", "{\"type\": \"longrope\", \"short_factor\": [0]}"),
      ("phi3-longrope", "original_max_position_embeddings", "-4"),
      ("gemma3", "rope_parameters", "{\"rope_type\": \"default\"}"),
      ("qwen3", "max_window_layers", "-1"),
    ])
  func damage(name: String, key: String, value: String) throws {
    let parsed = try JSONSerialization.jsonObject(
      with: Data(value.utf8), options: [.fragmentsAllowed])
    let error = try #require(openingError(name, [key: parsed]))
    #expect(error.category == .damaged, "\(error)")
    #expect(error.description.contains(key) && !error.description.contains("\n"), "\(error)")
  }

  @Test("an unknown architecture is named, and the known ones listed")
  func unknown() throws {
    let error = try #require(openingError("llama", ["architectures": ["MixtralForCausalLM"]]))
    #expect(error.category == .unsupported)
    for name in [
      "MixtralForCausalLM", "LlamaForCausalLM", "Gemma2ForCausalLM", "BloomForCausalLM",
    ] {
      #expect(error.description.contains(name), "\(error)")
    }
  }

  @Test("the text model of a Gemma 3 that sees pictures")
  func pictures() throws {
    let plain = try open("gemma3")
    let checkpoint = try #require(ArchitectureCheckpoint.all.first { $0.name == "gemma3" })
    for prefix in ["language_model.model.", "model.language_model."] {
      let folder = try TestData.temporaryFolder()
      defer { try? FileManager.default.removeItem(at: folder) }
      let place = folder.appending(path: "pictures")
      try checkpoint.write(to: place, weights: "gemma3")
      try nestConfiguration(place.appending(path: "config.json"))
      try renameTensors(place.appending(path: "model.safetensors"), to: prefix)
      let nested = try CheckpointReader.open(FilePath(place.path))
      #expect(nested.warnings.isEmpty)
      var architecture = nested.architecture
      #expect(architecture.name == "Gemma3ForConditionalGeneration")
      architecture.name = plain.architecture.name
      #expect(architecture == plain.architecture)
      #expect(nested.tensors.map(\.name) == plain.tensors.map(\.name))
    }
  }

  private func nestConfiguration(_ file: URL) throws {
    let parsed = try JSONSerialization.jsonObject(with: Data(contentsOf: file))
    var text = try #require(parsed as? [String: Any])
    text["architectures"] = nil
    let outer: [String: Any] = [
      "architectures": ["Gemma3ForConditionalGeneration"], "text_config": text,
      "vision_config": ["hidden_size": 8],
    ]
    try JSONSerialization.data(withJSONObject: outer).write(to: file)
  }

  private func renameTensors(_ file: URL, to prefix: String) throws {
    let bytes = [UInt8](try Data(contentsOf: file))
    let length = bytes.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
    let header = String(decoding: bytes[8..<8 + length], as: UTF8.self)
      .replacingOccurrences(of: "\"model.", with: "\"\(prefix)")
    let text = Array(header.utf8)
    let count = (0..<8).map { UInt8(text.count >> (8 * $0) & 255) }
    try Data(count + text + bytes[(8 + length)...]).write(to: file)
  }
}
