import EmberModel
import EmberQuantizer
import Foundation
import SystemPackage
import Testing

@Suite struct HuggingFaceReaderTests {
  static let llamaNames: [String] = {
    var names = ["embedding"]
    for layer in 0..<2 {
      names += [
        "attention_norm", "attention.query", "attention.key", "attention.value",
        "attention.output", "feed_forward_norm", "feed_forward.gate", "feed_forward.up",
        "feed_forward.down",
      ].map { "layers.\(layer).\($0).weight" }
    }
    return names + ["final_norm.weight"]
  }()

  @Test(arguments: ["F32", "F16", "BF16"])
  func readsLlama(type: String) throws {
    let fixture = try CheckpointFixture()
    let tensors = CheckpointFixture.llamaTensors(type: type)
    try fixture.writeLlama(tensors: tensors)
    let checkpoint = try CheckpointReader.open(fixture.path)

    #expect(
      checkpoint.architecture
        == Architecture(
          name: "LlamaForCausalLM", vocabularySize: 20, width: 16, layerCount: 2,
          feedForwardWidth: 24, contextLength: 32,
          norm: .init(kind: .rootMeanSquare, epsilon: 1e-5),
          position: .rotary(base: 10_000, dimensions: 4, pairing: .halves),
          attention: .init(headCount: 4, keyValueHeadCount: 2, headDimension: 4),
          feedForward: .init(kind: .gated, activation: .silu), tiedHead: true))
    #expect(checkpoint.tensors.map(\.name) == Self.llamaNames)
    #expect(checkpoint.beginOfSequence == 1)
    #expect(checkpoint.endOfSequence == 2)
    #expect(checkpoint.tokenizerSource == nil)
    #expect(checkpoint.warnings == [])
    #expect(
      checkpoint.provenance
        == CheckpointProvenance(
          format: "safetensors", name: fixture.folder.lastPathComponent,
          files: ["model.safetensors"],
          byteCount: CheckpointFixture.safetensors(tensors).count, storedTypes: [type]))
    for tensor in checkpoint.tensors {
      let stored = try #require(tensors.first { $0.name == tensor.storedName })
      #expect(try tensor.values() == stored.values)
      #expect(tensor.rows * tensor.columns == stored.values.count)
    }
    let gate = try checkpoint.tensor("layers.1.feed_forward.gate.weight")
    #expect(gate.rows == 24 && gate.columns == 16)
    #expect(try gate.values(rows: 5..<9) == Array(gate.values()[(5 * 16)..<(9 * 16)]))
    #expect(try gate.values(rows: 24..<24) == [])
    #expect(gate.storedName == "model.layers.1.mlp.gate_proj.weight")
  }

  @Test func readsShards() throws {
    let fixture = try CheckpointFixture()
    let tensors = CheckpointFixture.llamaTensors()
    try fixture.writeLlama(tensors: tensors)
    let single = try CheckpointReader.open(fixture.path)
    let expected = try single.tensors.map { try $0.values() }

    try FileManager.default.removeItem(at: fixture.folder.appending(path: "model.safetensors"))
    try writeShards(tensors, fixture: fixture)
    let sharded = try CheckpointReader.open(fixture.path)
    #expect(sharded.tensors.map(\.name) == single.tensors.map(\.name))
    #expect(try sharded.tensors.map { try $0.values() } == expected)
    #expect(sharded.provenance.files == ["a.safetensors", "b.safetensors"])
    // A shard stands for the whole.
    let named = try CheckpointReader.open(fixture.path("b.safetensors"))
    #expect(named.tensors.count == single.tensors.count)
    #expect(named.provenance.name == "b.safetensors")
  }

  private func writeShards(_ tensors: [FixtureTensor], fixture: CheckpointFixture) throws {
    let half = tensors.count / 2
    try fixture.write(CheckpointFixture.safetensors(Array(tensors[..<half])), to: "a.safetensors")
    try fixture.write(CheckpointFixture.safetensors(Array(tensors[half...])), to: "b.safetensors")
    let map = Dictionary(
      uniqueKeysWithValues: tensors.enumerated().map {
        ($0.element.name, $0.offset < half ? "a.safetensors" : "b.safetensors")
      })
    try writeIndex(map, fixture: fixture)
  }

  private func writeIndex(_ map: [String: String], fixture: CheckpointFixture) throws {
    let index = try JSONSerialization.data(withJSONObject: ["metadata": [:], "weight_map": map])
    try index.write(to: fixture.folder.appending(path: "model.safetensors.index.json"))
  }

  @Test func indexMayNotLeaveTheFolder() throws {
    let fixture = try CheckpointFixture()
    try fixture.write(CheckpointFixture.llamaConfiguration)
    for name in ["../a.safetensors", "/etc/hosts", "..", "", "a/b"] {
      try writeIndex(["model.norm.weight": name], fixture: fixture)
      #expect(openingError(fixture.path)?.category == .damaged, "\(name)")
    }
    try writeIndex(["model.norm.weight": "absent.safetensors"], fixture: fixture)
    #expect(openingError(fixture.path) == .notFound(path: fixture.path("absent.safetensors")))
    try fixture.write(
      CheckpointFixture.safetensors(CheckpointFixture.llamaTensors()), to: "a.safetensors")
    try writeIndex(["absent": "a.safetensors"], fixture: fixture)
    #expect(openingError(fixture.path)?.category == .damaged)
  }

  @Test func readsASingleFileOfAFolder() throws {
    let fixture = try CheckpointFixture()
    try fixture.writeLlama()
    try fixture.write(
      CheckpointFixture.safetensors(CheckpointFixture.llamaTensors(type: "BF16")),
      to: "other.safetensors")
    let checkpoint = try CheckpointReader.open(fixture.path("other.safetensors"))
    #expect(checkpoint.provenance.storedTypes == ["BF16"])
    try fixture.write("{}", to: "tokenizer.json")
    #expect(
      try CheckpointReader.open(fixture.path).tokenizerSource
        == .huggingFace(fixture.path("tokenizer.json")))
  }

  @Test func readsASeparateHeadAndBiases() throws {
    let fixture = try CheckpointFixture()
    var tensors = CheckpointFixture.llamaTensors()
    tensors.append(CheckpointFixture.tensor("lm_head.weight", [20, 16], type: "F32"))
    tensors.append(
      CheckpointFixture.tensor("model.layers.0.self_attn.k_proj.bias", [8], type: "F32"))
    try fixture.writeLlama(["tie_word_embeddings": false], tensors: tensors)
    let checkpoint = try CheckpointReader.open(fixture.path)
    #expect(checkpoint.tensors.last?.name == "head")
    #expect(checkpoint.architecture.tiedHead == false)
    let key = try #require(
      checkpoint.tensors.firstIndex { $0.name == "layers.0.attention.key.weight" })
    #expect(checkpoint.tensors[key + 1].name == "layers.0.attention.key.bias")
    #expect(checkpoint.tensors[key + 1].rows == 1)
    #expect(checkpoint.provenance.storedTypes == ["F16", "F32"])

    // All of them are required if the configuration says so.
    try fixture.writeLlama(["attention_bias": true])
    #expect(
      openingError(fixture.path)
        == .missingTensor(path: fixture.path, tensor: "model.layers.0.self_attn.q_proj.bias"))
    try fixture.writeLlama(["tie_word_embeddings": false])
    #expect(
      openingError(fixture.path) == .missingTensor(path: fixture.path, tensor: "lm_head.weight"))
  }

  @Test func reportsUnusedTensors() throws {
    let fixture = try CheckpointFixture()
    let extra = ["extra.weight", "model.layers.0.self_attn.rotary_emb.inv_freq"]
    try fixture.writeLlama(
      tensors: CheckpointFixture.llamaTensors()
        + extra.map { CheckpointFixture.tensor($0, [2], type: "F32") })
    #expect(
      try CheckpointReader.open(fixture.path).warnings
        == ["unused tensors in the checkpoint: extra.weight"])
  }

  @Test func convertsEveryHalf() throws {
    // All 63,488 finite binary16 values, as the embedding of a vocabulary of 3968 with 16 columns.
    let finite = (0...UInt16.max).filter { $0 & 0x7C00 != 0x7C00 }
    let expected = finite.map { half -> Float in
      let exponent = Int(half >> 10 & 0x1F)
      let fraction = Double(half & 0x3FF)
      let magnitude =
        exponent == 0
        ? fraction * 0x1p-24
        : (1 + fraction / 1024) * Double(sign: .plus, exponent: exponent - 15, significand: 1)
      return Float(half & 0x8000 == 0 ? magnitude : -magnitude)
    }
    let fixture = try CheckpointFixture()
    var tensors = CheckpointFixture.llamaTensors(type: "BF16")
    tensors[0] = FixtureTensor(
      name: tensors[0].name, type: "F16", shape: [3968, 16],
      values: [Float](repeating: 0, count: 63_488))
    try fixture.writeLlama(["vocab_size": 3968], tensors: tensors)
    // The embedding is the first of the data: put the halves in its place.
    var bytes = CheckpointFixture.safetensors(tensors)
    let start = 8 + Int(bytes[0]) + Int(bytes[1]) << 8
    for (index, half) in finite.enumerated() {
      bytes[start + 2 * index] = UInt8(truncatingIfNeeded: half)
      bytes[start + 2 * index + 1] = UInt8(half >> 8)
    }
    try fixture.write(bytes, to: "model.safetensors")
    let values = try CheckpointReader.open(fixture.path).tensor("embedding").values()
    #expect(values.map(\.bitPattern) == expected.map(\.bitPattern))
  }

  @Test func readsFromManyThreads() async throws {
    let fixture = try CheckpointFixture()
    try fixture.writeLlama()
    let checkpoint = try CheckpointReader.open(fixture.path)
    let embedding = try checkpoint.tensor("embedding")
    let expected = try embedding.values()
    try await withThrowingTaskGroup(of: Bool.self) { group in
      for _ in 0..<8 {
        group.addTask {
          try (0..<20).allSatisfy { row in
            try embedding.values(rows: row..<(row + 1))
              == expected[(row * 16)..<(row * 16 + 16)].map { $0 }
          }
        }
      }
      for try await same in group { #expect(same) }
    }
  }
}
