import EmberModel
import EmberQuantizer
import EmberTestSupport
import SystemPackage
import Testing

/// Real checkpoints against numbers that numpy computed.
@Suite(.enabled(if: TestData.hasShared, "needs the shared reference data"))
struct SharedCheckpointTests {
  private func open(_ path: String) throws -> Checkpoint {
    try CheckpointReader.open(FilePath(TestData.shared(path)))
  }

  private func sum(_ checkpoint: Checkpoint, _ name: String) throws -> Double {
    try checkpoint.tensor(name).values().reduce(0) { $0 + Double($1) }
  }

  private func element(
    _ checkpoint: Checkpoint, _ name: String, _ row: Int, _ column: Int
  ) throws -> Float {
    try checkpoint.tensor(name).values(rows: row..<(row + 1))[column]
  }

  /// The same weights in both formats, fp32 and fp16; rotary pairs 2i, 2i + 1 of the one are i,
  /// i + 4 of the other.
  @Test(arguments: [("stories260K", "stories260K.bin"), ("babyllama", "model5000.bin")])
  func bothFormatsHoldTheSameModel(folder: String, file: String) throws {
    let original = try open("\(folder)/\(file)")
    let converted = try open(folder)
    #expect(original.tensors.map(\.name) == converted.tensors.map(\.name))
    #expect(original.warnings == [] && converted.warnings == [])
    let dimension = original.architecture.attention.headDimension
    var expected = converted.architecture
    expected.name = "llama2.c"
    expected.position = .rotary(base: 10_000, dimensions: dimension, pairing: .adjacent)
    #expect(original.architecture == expected)
    for (left, right) in zip(original.tensors, converted.tensors) {
      #expect(left.rows == right.rows && left.columns == right.columns)
      let columns = left.columns
      let rotated = left.name.contains("query") || left.name.contains("key")
      let (exact, halves) = (try left.values(), try right.values())
      var worst: Float = 0
      for row in 0..<left.rows {
        // Row of the converted matrix that holds this row of the original.
        let inHead = row % dimension
        let other =
          rotated ? row - inHead + inHead / 2 + inHead % 2 * (dimension / 2) : row
        for column in 0..<columns {
          let value = exact[row * columns + column]
          let difference = abs(value - halves[other * columns + column])
          // Rounding to fp16: half a unit of 11 bits, or of the smallest subnormal.
          worst = max(worst, difference - max(abs(value) * 0x1p-11, 0x1p-25))
        }
      }
      #expect(worst <= 0, "\(left.name)")
    }
  }

  @Test func stories() throws {
    let checkpoint = try open("stories260K/stories260K.bin")
    let tokenizer = FilePath(TestData.shared("stories260K/tok512.bin"))
    #expect(checkpoint.tokenizerSource == .llama2c(tokenizer))
    #expect(checkpoint.tensors.count == 47)
    #expect(checkpoint.tensors.reduce(0) { $0 + $1.rows * $1.columns } == 260_032)
    let down = try checkpoint.tensor("layers.4.feed_forward.down.weight")
    #expect(down.rows == 64 && down.columns == 172)
  }

  // numpy.fromfile("babyllama/model5000.bin", "<f4"), split as run.c's memory_map_weights does:
  // emb[7,7], wk[4,63,127], w1[2,351,3], w2[2,3,351], w3[3,100,100], wo[1,2,3], rms_att[2,5],
  // rms_ffn[4,5], rms_final[127].
  @Test func babyllama() throws {
    let checkpoint = try open("babyllama/model5000.bin")
    #expect(
      checkpoint.tokenizerSource == .llama2c(FilePath(TestData.shared("babyllama/tok105.bin"))))
    for (name, row, column, value) in [
      ("embedding", 7, 7, 0.02878374420106411),
      ("layers.4.attention.key.weight", 63, 127, -0.030712055042386055),
      ("layers.2.feed_forward.gate.weight", 351, 3, -0.010129283182322979),
      ("layers.2.feed_forward.down.weight", 3, 351, 0.025621430948376656),
      ("layers.3.feed_forward.up.weight", 100, 100, 0.013203827664256096),
      ("layers.1.attention.output.weight", 2, 3, 0.008308535441756248),
      ("layers.2.attention_norm.weight", 0, 5, 1.0182255506515503),
      ("layers.4.feed_forward_norm.weight", 0, 5, 1.1449066400527954),
      ("final_norm.weight", 0, 127, 1.4685293436050415),
    ] {
      #expect(try element(checkpoint, name, row, column) == Float(value), "\(name)")
    }
  }

  // numpy.frombuffer(data[begin:end], "<f2").astype("f8"): t[i, 7] and t.sum() of each tensor.
  @Test func novelLlama() throws {
    let checkpoint = try open("novel-llama")
    let path = FilePath(TestData.shared("novel-llama/tokenizer.json"))
    #expect(checkpoint.tokenizerSource == .huggingFace(path))
    #expect(checkpoint.beginOfSequence == 0 && checkpoint.endOfSequence == 0)
    for (name, shape, row, value, total) in [
      ("embedding", [4096, 256], 1365, 0.06402587890625, 1203.4923212528229),
      (
        "layers.0.attention.query.weight", [256, 256], 85, -0.1788330078125, -15.582974970340729
      ),
      ("layers.1.attention.key.weight", [128, 256], 42, -0.0809326171875, 0.33035528659820557),
      (
        "layers.2.feed_forward.down.weight", [256, 768], 85, -0.06500244140625,
        -39.39092415571213
      ),
    ] {
      let tensor = try checkpoint.tensor(name)
      #expect([tensor.rows, tensor.columns] == shape)
      #expect(try element(checkpoint, name, row, 7) == Float(value))
      #expect(abs(try sum(checkpoint, name) - total) < 1e-9)
    }
    #expect(try element(checkpoint, "final_norm.weight", 0, 85) == 1.2275390625)
    #expect(try sum(checkpoint, "final_norm.weight") == 413.8720703125)
    for twin in ["novel-llama-emergent", "novel-llama-features"] {
      #expect(try open(twin).architecture == checkpoint.architecture)
    }
  }

  // numpy as above: c_attn[3, part * 256 + 200], c_attn[:, part * 256:][:, :256].sum(), bias[9] of
  // layer 1; c_fc[5, 1000] and c_proj[1000, 5] of layer 2 with their sums.
  @Test func novelGPT2() throws {
    let checkpoint = try open("novel-gpt2")
    #expect(checkpoint.warnings == [])
    #expect(try element(checkpoint, "embedding", 100, 7) == 0.117370605)
    #expect(abs(try sum(checkpoint, "embedding") - -140.45234775543213) < 1e-9)
    #expect(try element(checkpoint, "position", 511, 255) == -0.065979004)
    for (name, row, column, value, total) in [
      ("attention.query", 200, 3, 0.00832366943359375, 9.47580999135971),
      ("attention.key", 200, 3, 0.0029296875, -15.442074656486511),
      ("attention.value", 200, 3, 0.021331787109375, 10.412587106227875),
    ] {
      #expect(try element(checkpoint, "layers.1.\(name).weight", row, column) == Float(value))
      #expect(abs(try sum(checkpoint, "layers.1.\(name).weight") - total) < 1e-9)
    }
    #expect(try element(checkpoint, "layers.1.attention.query.bias", 0, 9) == -0.0810546875)
    #expect(try element(checkpoint, "layers.1.attention.key.bias", 0, 9) == -0.1337890625)
    #expect(try element(checkpoint, "layers.1.attention.value.bias", 0, 9) == -0.0150299072265625)
    let (up, down) = ("layers.2.feed_forward.up.weight", "layers.2.feed_forward.down.weight")
    #expect(try element(checkpoint, up, 1000, 5) == 0.23583984375)
    #expect(abs(try sum(checkpoint, up) - 138.81775438785553) < 1e-9)
    #expect(try element(checkpoint, down, 5, 1000) == 0.044403076171875)
    #expect(abs(try sum(checkpoint, down) - -34.997036814689636) < 1e-9)
  }

  @Test func otherFormatsAreNamed() throws {
    let path = FilePath(TestData.shared("tokenizers/gguf/gpt-2.gguf"))
    // A vocabulary without weights.
    #expect(openingError(path)?.category == .invalidWeights)
    let tokenizer = FilePath(TestData.shared("stories260K/tok512.bin"))
    #expect(openingError(tokenizer)?.category == .damaged)
  }
}
