import Ember
import EmberTestSupport
import Foundation
import Testing

/// What is asked wrongly of encoder–decoders, and checkpoints that are none.
@Suite("Encoder–decoders: errors", .serialized)
struct EncoderDecoderErrorTests {
  @Test("tokens need a source")
  func noSource() throws {
    let fixture = try EncoderDecoderFixture("t5")
    let model = try fixture.converted().model
    let session = try InferenceSession(model: model)
    #expect(throws: ModelError.noSource) { try session.append([0]) }
    let parallel = try ParallelSession(model: model, sequences: 1)
    #expect(throws: ModelError.noSource) {
      try parallel.append([.init(sequence: 0, tokens: [0], wantsLogits: true)])
    }
    #expect(throws: ModelError.noTokens) { try session.encode([]) }
    #expect(throws: ModelError.unknownToken(id: 94, vocabularySize: 94)) {
      try session.encode([3, 94])
    }
    #expect(throws: ModelError.sourceTooLong(tokens: 321, capacity: 320)) {
      try session.encode([Int32](repeating: 3, count: 321))
    }
    // A source that fails leaves none behind.
    try session.encode([3])
    #expect(throws: ModelError.noTokens) { try session.encode([]) }
    #expect(throws: ModelError.noSource) { try session.append([0]) }
  }

  @Test("what there is for decoders only is refused by name")
  func decodersOnly() throws {
    let fixture = try EncoderDecoderFixture("t5")
    let loaded = try fixture.converted()
    let parallel = ParallelGenerator(
      model: loaded.model, tokenizer: loaded.tokenizer,
      session: try ParallelSession(model: loaded.model, sequences: 2))
    #expect(throws: GenerationError.needsDecoder(option: "--prompts")) {
      try parallel.generate(prompts: ["it was"], options: .init(maximumTokens: 1)) { _ in }
    }
    #expect(throws: GenerationError.needsDecoder(option: "--draft")) {
      try DraftModel(session: InferenceSession(model: loaded.model), target: loaded.model)
    }
    let generator = try loaded.generator()
    generator.sessionFile = SessionFile("/nowhere/at.all")
    #expect(throws: GenerationError.needsDecoder(option: "--session")) {
      try generator.generate(prompt: "it was", options: .init(maximumTokens: 1)) { _ in }
    }
    for options in [
      QuantizationOptions(recipe: .best, calibration: .text("the people")),
      QuantizationOptions(targetBits: 6),
    ] {
      #expect(throws: CalibrationError.hasEncoder(fixture.checkpoint)) {
        try fixture.converted(options, named: "-refused")
      }
    }
  }

  @Test("recipe balanced says that it is not calibrated")
  func balanced() throws {
    let fixture = try EncoderDecoderFixture("marian")
    let folder = try TestData.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let output = FilePath(folder.appending(path: "model").path)
    let summary = try Converter(
      checkpoint: fixture.checkpoint, output: output, options: QuantizationOptions(bits: 4)
    ).run()
    #expect(summary.warnings.count == 1 && summary.warnings[0].contains("recipe fast"))
  }

  /// Opens a fixture whose configuration has some keys changed; nil takes a key away.
  private func open(_ name: String, _ changes: [String: Any?]) throws -> Checkpoint {
    let folder = try TestData.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let source = EncoderDecoderFixture.root.appending(path: name)
    for file in ["config.json", "model.safetensors"] {
      try FileManager.default.copyItem(
        at: source.appending(path: file), to: folder.appending(path: file))
    }
    let path = folder.appending(path: "config.json")
    let parsed = try JSONSerialization.jsonObject(with: Data(contentsOf: path))
    var values = try #require(parsed as? [String: Any])
    for (key, value) in changes { values[key] = value }
    try JSONSerialization.data(withJSONObject: values).write(to: path)
    return try CheckpointReader.open(FilePath(folder.path))
  }

  @Test(
    "other mathematics is refused by name",
    arguments: [
      ("t5", "feed_forward_proj", "gated-tanh"), ("t5", "is_encoder_decoder", "false"),
      ("t5", "decoder_start_token_id", "96"), ("t5", "relative_attention_max_distance", "3"),
      ("t5", "relative_attention_num_buckets", "2"),
      ("marian", "normalize_before", "true"), ("marian", "add_final_layer_norm", "true"),
      ("marian", "normalize_embedding", "true"), ("marian", "encoder_attention_heads", "8"),
      ("marian", "static_position_embeddings", "false"), ("marian", "decoder_vocab_size", "98"),
      ("marian", "share_encoder_decoder_embeddings", "false"),
      ("marian", "activation_function", "tanh"), ("marian", "decoder_attention_heads", "5"),
      ("marian", "encoder_layers", "1000000000"), ("t5", "num_layers", "1000000000"),
      ("t5", "relative_attention_num_buckets", "1000000000"),
      ("t5", "relative_attention_max_distance", "2000000000"), ("t5", "d_kv", "1000000000"),
      ("t5", "num_heads", "1000000000"), ("t5", "num_decoder_layers", "-1"),
      ("t5", "num_decoder_layers", "9000000000000000000"), ("t5", "d_ff", "2000000000"),
      ("marian", "d_model", "1000000000"), ("marian", "decoder_ffn_dim", "0"),
      ("marian", "decoder_start_token_id", "99"), ("marian", "vocab_size", "2000000000"),
      ("marian", "bad_words_ids", "99"),
    ])
  func refused(_ name: String, _ key: String, _ value: String) throws {
    let parsed: Any =
      switch value {
      case "true": true
      case "false": false
      default: Int(value) ?? value
      }
    do {
      _ = try open(name, [key: parsed])
      Issue.record("\(key) = \(value) was accepted")
    } catch {
      let error = try #require(error as? CheckpointError)
      #expect(!error.description.contains("\n"))
    }
  }

  @Test("what a configuration leaves out is transformers' default")
  func defaults() throws {
    let none: Any? = nil
    let t5 = try open(
      "t5", ["decoder_start_token_id": none, "feed_forward_proj": none, "n_positions": none]
    ).architecture
    #expect(t5.decoderStart == 0 && t5.contextLength == 512)
    #expect(t5.feedForward == .init(kind: .plain, activation: .relu))
    #expect(t5.headScale == 1 / Float(32).squareRoot() && t5.tiedHead)
    let flan = try open("flan-t5", [:]).architecture
    #expect(flan.headScale == nil && !flan.tiedHead)
    #expect(flan.feedForward == .init(kind: .gated, activation: .geluTanh))
    let marian = try open("marian", ["bad_words_ids": none]).architecture
    #expect(marian.suppressedTokens == [try #require(marian.decoderStart)])
    #expect(marian.encoder == .init(layerCount: 3, feedForwardWidth: 48))
  }

  @Test("descriptions that no encoder–decoder has", arguments: 0..<10)
  func inconsistent(_ index: Int) throws {
    var architecture = try open("t5", [:]).architecture
    #expect(architecture.inconsistency == nil)
    switch index {
    case 0: architecture.decoderStart = nil
    case 1: architecture.decoderStart = 96
    case 2: architecture.encoder?.layerCount = 0
    case 3: architecture.encoder?.feedForwardWidth = 1 << 30
    case 4: architecture.suppressedTokens = [-1]
    case 5: architecture.position = .learned
    case 6: architecture.encoder?.layerCount = 1 << 40
    case 7: architecture.position = .relativeBias(buckets: 1 << 40, maximumDistance: .max)
    case 8: architecture.position = .relativeBias(buckets: 32, maximumDistance: 1 << 40)
    default: architecture.position = .relativeBias(buckets: 32, maximumDistance: 16)
    }
    #expect(architecture.inconsistency != nil)
  }
}
