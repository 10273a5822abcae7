import EmberModel
import EmberQuantizer
import Testing

@Suite struct GPT2CheckpointTests {
  @Test(arguments: ["", "transformer."], ["F32", "F16"])
  func readsTransposed(prefix: String, type: String) throws {
    let fixture = try CheckpointFixture()
    let tensors = CheckpointFixture.gpt2Tensors(width: 12, inner: 48, prefix: prefix, type: type)
    try fixture.write(CheckpointFixture.gpt2Configuration(width: 12))
    try fixture.write(CheckpointFixture.safetensors(tensors), to: "model.safetensors")
    let checkpoint = try CheckpointReader.open(fixture.path)
    #expect(
      checkpoint.architecture
        == Architecture(
          name: "GPT2LMHeadModel", vocabularySize: 20, width: 12, layerCount: 1,
          feedForwardWidth: 48, contextLength: 10, norm: .init(kind: .layer, epsilon: 1e-5),
          position: .learned,
          attention: .init(headCount: 4, keyValueHeadCount: 4, headDimension: 3),
          feedForward: .init(kind: .plain, activation: .geluTanh), tiedHead: true))
    #expect(
      checkpoint.tensors.map(\.name) == ["embedding", "position"]
        + [
          "attention_norm", "attention.query", "attention.key", "attention.value",
          "attention.output", "feed_forward_norm", "feed_forward.up", "feed_forward.down",
        ].flatMap { ["layers.0.\($0).weight", "layers.0.\($0).bias"] }
        + ["final_norm.weight", "final_norm.bias"])
    // attn.bias is a mask, not a weight.
    #expect(checkpoint.warnings == [])

    func stored(_ name: String) throws -> FixtureTensor {
      try #require(tensors.first { $0.name == prefix + name })
    }
    /// Columns of a stored [inputs, outputs], as rows.
    func transposed(_ name: String, outputs: Range<Int>) throws -> [Float] {
      let tensor = try stored(name)
      return outputs.flatMap { output in
        (0..<tensor.shape[0]).map { tensor.values[$0 * tensor.shape[1] + output] }
      }
    }
    func read(_ name: String) throws -> [Float] {
      try checkpoint.tensor("layers.0." + name).values()
    }
    for (part, name) in ["query", "key", "value"].enumerated() {
      let outputs = (12 * part)..<(12 * part + 12)
      #expect(
        try read("attention.\(name).weight")
          == transposed("h.0.attn.c_attn.weight", outputs: outputs))
      #expect(
        try read("attention.\(name).bias") == Array(stored("h.0.attn.c_attn.bias").values[outputs]))
    }
    #expect(
      try read("attention.output.weight") == transposed("h.0.attn.c_proj.weight", outputs: 0..<12))
    #expect(
      try read("feed_forward.up.weight") == transposed("h.0.mlp.c_fc.weight", outputs: 0..<48))
    #expect(
      try read("feed_forward.down.weight") == transposed("h.0.mlp.c_proj.weight", outputs: 0..<12))
    #expect(try checkpoint.tensor("position").values() == stored("wpe.weight").values)
  }

  /// Long stored rows: read in several groups, or one by one where few of their elements are used.
  @Test(arguments: ["F32", "F16"], [0..<3000, 5..<9, 2999..<3000, 100..<2900, 0..<1500])
  func readsPanels(type: String, rows: Range<Int>) throws {
    let fixture = try CheckpointFixture()
    let tensors = CheckpointFixture.gpt2Tensors(width: 100, inner: 3000, prefix: "", type: type)
    try fixture.write(CheckpointFixture.gpt2Configuration(width: 100, inner: 3000))
    try fixture.write(CheckpointFixture.safetensors(tensors), to: "model.safetensors")
    let up = try CheckpointReader.open(fixture.path).tensor("layers.0.feed_forward.up.weight")
    #expect(up.rows == 3000 && up.columns == 100)
    let stored = try #require(tensors.first { $0.name == "h.0.mlp.c_fc.weight" }).values
    let expected = rows.flatMap { row in (0..<100).map { stored[$0 * 3000 + row] } }
    #expect(try up.values(rows: rows) == expected)
  }

  @Test func namesABadWeightWhereItIs() throws {
    let fixture = try CheckpointFixture()
    var tensors = CheckpointFixture.gpt2Tensors(width: 12, inner: 48, prefix: "", type: "F32")
    let index = try #require(tensors.firstIndex { $0.name == "h.0.attn.c_attn.weight" })
    // Input 3, output 12 + 5: row 5 of the keys.
    tensors[index].values[3 * 36 + 17] = .nan
    try fixture.write(CheckpointFixture.gpt2Configuration(width: 12))
    try fixture.write(CheckpointFixture.safetensors(tensors), to: "model.safetensors")
    let checkpoint = try CheckpointReader.open(fixture.path)
    #expect(throws: Never.self) {
      try checkpoint.tensor("layers.0.attention.query.weight").values()
    }
    let key = try checkpoint.tensor("layers.0.attention.key.weight")
    #expect(
      throws: CheckpointError.notFinite(
        path: fixture.path("model.safetensors"), tensor: "layers.0.attention.key.weight",
        storedAs: "h.0.attn.c_attn.weight", row: 5, column: 3, value: "NaN")
    ) { try key.values(rows: 4..<8) }
  }

  @Test(arguments: [
    ("scale_attn_weights", "false"), ("scale_attn_by_inverse_layer_idx", "true"),
    ("activation_function", "\"mish\""), ("add_cross_attention", "true"),
  ])
  func refusesOtherMathematics(key: String, value: String) throws {
    let fixture = try CheckpointFixture()
    try fixture.write(
      #"{"architectures":["GPT2LMHeadModel"],"n_embd":12,"n_layer":1,"n_head":4,"n_positions":10,"#
        + #""vocab_size":20,"\#(key)":\#(value)}"#, to: "config.json")
    let error = try #require(openingError(fixture.path))
    #expect(error.category == .unsupported)
    #expect(error.description.contains(key))
    if key == "activation_function" {
      #expect(
        error.description.contains("gelu_new") && error.description.contains("gelu_pytorch_tanh"))
    }
  }

  @Test func headsHaveToDivideTheWidth() throws {
    let fixture = try CheckpointFixture()
    try fixture.write(CheckpointFixture.gpt2Configuration(width: 13))
    #expect(
      openingError(fixture.path)
        == .invalidValue(
          path: fixture.path("config.json"), key: "n_head", expected: "a divisor of n_embd (13)",
          found: "4"))
  }
}
