import EmberQuantizer
import Foundation
import SystemPackage
import Testing

@Suite struct ConfigurationErrorTests {
  /// Opens a tiny Llama whose configuration has one value changed, as JSON text.
  private func error(_ key: String, _ value: String) throws -> CheckpointError? {
    let fixture = try CheckpointFixture()
    try fixture.writeLlama()
    let parsed = try JSONSerialization.jsonObject(
      with: Data("[\(value)]".utf8), options: [.fragmentsAllowed])
    let changed = try #require((parsed as? [Any])?.first)
    try fixture.write(CheckpointFixture.llamaConfiguration.merging([key: changed]) { $1 })
    return openingError(fixture.path)
  }

  @Test(arguments: [
    ("hidden_size", "0"), ("hidden_size", "-16"), ("hidden_size", "\"16\""),
    ("hidden_size", "16.5"), ("hidden_size", "2147483648"), ("hidden_size", "1e30"),
    ("hidden_size", "true"), ("hidden_size", "[16]"), ("hidden_size", "18"),
    ("num_hidden_layers", "0"), ("num_attention_heads", "3"), ("num_key_value_heads", "3"),
    ("num_key_value_heads", "8"), ("head_dim", "3"), ("head_dim", "2147483646"),
    ("vocab_size", "-20"), ("max_position_embeddings", "{}"), ("rms_norm_eps", "0"),
    ("rms_norm_eps", "\"small\""), ("rms_norm_eps", "1e-300"), ("rope_theta", "-1"),
    ("rope_theta", "1e39"), ("tie_word_embeddings", "1"), ("tie_word_embeddings", "\"yes\""),
    ("bos_token_id", "\"one\""), ("eos_token_id", "[\"two\"]"), ("architectures", "[]"),
    ("architectures", "\"LlamaForCausalLM\""), ("rope_scaling", "7"),
    ("rope_parameters", #"{"rope_theta":"big"}"#), ("partial_rotary_factor", "1.5"),
    ("rope_scaling", #"{"rope_type":"llama3","factor":8.0}"#),
  ])
  func refusesBadValues(key: String, value: String) throws {
    let error = try #require(try error(key, value))
    #expect(error.category == .damaged)
    // A width that its heads do not divide is the heads' error.
    #expect(error.description.contains(value == "18" ? "num_attention_heads" : key))
    #expect(!error.description.contains("\n"))
  }

  @Test(arguments: [
    ("hidden_act", "\"mish\""), ("rope_scaling", #"{"rope_type":"mrope","factor":8.0}"#),
    ("rope_scaling", #"{"type":"proportional","factor":2.0}"#), ("sliding_window", "4096"),
    ("quantization_config", #"{"bits":4}"#),
  ])
  func refusesOtherMathematics(key: String, value: String) throws {
    let error = try #require(try error(key, value))
    #expect(error.category == .unsupported)
    #expect(error.description.contains(key))
  }

  @Test(arguments: [
    ("rope_scaling", "null"), ("rope_scaling", #"{"rope_type":"default"}"#),
    ("rope_scaling", #"{"type":"linear","factor":2.0}"#), ("hidden_act", "\"gelu\""),
    ("partial_rotary_factor", "0.5"),
    ("rope_parameters", #"{"rope_type":"default","rope_theta":10000.0}"#), ("head_dim", "4"),
    ("sliding_window", "null"), ("bos_token_id", "null"), ("eos_token_id", "[]"),
    ("rope_theta", "10000"), ("attention_bias", "false"), ("unknown_key", "[1, {\"a\": null}]"),
  ])
  func acceptsHarmlessValues(key: String, value: String) throws {
    #expect(try error(key, value) == nil)
  }

  @Test func readsTheRotaryBaseOfNewerFiles() throws {
    let fixture = try CheckpointFixture()
    try fixture.writeLlama(["rope_parameters": ["rope_type": "default", "rope_theta": 5e5]])
    #expect(
      try CheckpointReader.open(fixture.path).architecture.position
        == .rotary(base: 500_000, dimensions: 4, pairing: .halves))
  }

  @Test(arguments: [
    "architectures", "hidden_size", "intermediate_size", "num_hidden_layers",
    "num_attention_heads", "vocab_size", "max_position_embeddings",
  ])
  func missesKeys(key: String) throws {
    let fixture = try CheckpointFixture()
    try fixture.writeLlama()
    try fixture.write(CheckpointFixture.llamaConfiguration.filter { $0.key != key })
    #expect(openingError(fixture.path) == .missingKey(path: fixture.path("config.json"), key: key))
  }

  @Test func namesTheKnownArchitectures() throws {
    let error = try #require(try error("architectures", "[\"MambaForCausalLM\"]"))
    #expect(error.category == .unsupported)
    #expect(error.description.contains("MambaForCausalLM"))
    #expect(error.description.contains("known: LlamaForCausalLM, MistralForCausalLM, "))
    #expect(error.description.contains(", GPT2LMHeadModel, "))
  }

  @Test func ignoresTokensOutsideOfTheVocabulary() throws {
    let fixture = try CheckpointFixture()
    try fixture.writeLlama(["eos_token_id": 20, "bos_token_id": -1])
    let checkpoint = try CheckpointReader.open(fixture.path)
    #expect(checkpoint.beginOfSequence == nil && checkpoint.endOfSequence == nil)
    #expect(checkpoint.warnings.count == 2)
  }

  @Test func tensorsHaveToFitTheConfiguration() throws {
    let fixture = try CheckpointFixture()
    let weights = fixture.path("model.safetensors")
    try fixture.writeLlama(["vocab_size": 21])
    #expect(
      openingError(fixture.path)
        == .vocabularyMismatch(
          path: fixture.path("config.json"), tensor: "model.embed_tokens.weight", vocabulary: 21,
          rows: 20))
    try fixture.writeLlama(["intermediate_size": 32])
    #expect(
      openingError(fixture.path)
        == .wrongShape(
          path: weights, tensor: "model.layers.0.mlp.gate_proj.weight", expected: [32, 16],
          found: [24, 16]))
    // A layer count from nowhere ends at the first layer that is not there.
    try fixture.writeLlama(["num_hidden_layers": 2_000_000_000])
    #expect(
      openingError(fixture.path)
        == .missingTensor(path: fixture.path, tensor: "model.layers.2.input_layernorm.weight"))
    let tensors = CheckpointFixture.llamaTensors()
    try fixture.writeLlama(tensors: tensors.filter { $0.name != "model.norm.weight" })
    #expect(
      openingError(fixture.path)
        == .missingTensor(path: fixture.path, tensor: "model.norm.weight"))
  }

  @Test func typesMatterOnlyWhereNeeded() throws {
    let fixture = try CheckpointFixture()
    let spare = FixtureTensor(name: "spare", type: "Q9", shape: [3], values: [1])
    try fixture.writeLlama(tensors: CheckpointFixture.llamaTensors() + [spare])
    #expect(openingError(fixture.path) == nil)
    var tensors = CheckpointFixture.llamaTensors()
    tensors[3].type = "I32"
    try fixture.writeLlama(tensors: tensors)
    #expect(
      openingError(fixture.path)
        == .unsupportedType(
          path: fixture.path("model.safetensors"), tensor: tensors[3].name, found: "I32"))
  }

  @Test func configurationHasToBeJSON() throws {
    let fixture = try CheckpointFixture()
    try fixture.writeLlama()
    let deep = String(repeating: "[", count: 100_000)
    for (text, problem) in [
      ("{", ""), ("[]", "object"), ("null", "object"), ("{\"a\":}", ""), ("\u{FEFF}{}", "object"),
      ("{\"a\":1,\"a\":2}", "twice"), ("{\"x\":{\"a\":1,\"\\u0061\":2}}", "twice"),
      ("{\"a\":[{\"b\":1},{\"b\":1,\"b\":1}]}", "twice"), ("{\"a\":\(deep)", "nesting"),
      ("{}\0", "zero byte"), ("model", "object"),
    ] {
      try fixture.write(text, to: "config.json")
      let error = try #require(openingError(fixture.path), "\(text.prefix(40))")
      guard case .damagedJSON = error else {
        Issue.record("expected .damagedJSON, found \(error)")
        continue
      }
      #expect(problem.isEmpty || error.description.contains(problem), "\(error)")
      #expect(!error.description.contains("\n"))
    }
  }
}
