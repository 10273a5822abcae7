import EmberModel
import EmberQuantizer
import Foundation
import SystemPackage
import Testing

@Suite struct Llama2CReaderTests {
  /// A file whose floats count up from 0, so that each value tells its place.
  private func write(
    _ header: [Int32] = [16, 24, 2, 4, 2, 20, 32], to name: String = "model.bin",
    fixture: CheckpointFixture
  ) throws {
    let (bytes, count) = CheckpointFixture.llama2c(header)
    try fixture.write(bytes + CheckpointFixture.float32((0..<count).map(Float.init)), to: name)
  }

  @Test func findsEveryTensor() throws {
    let fixture = try CheckpointFixture()
    try write([16, 24, 2, 4, 2, -20, 32], fixture: fixture)
    let checkpoint = try CheckpointReader.open(fixture.path("model.bin"))
    #expect(
      checkpoint.architecture
        == Architecture(
          name: "llama2.c", vocabularySize: 20, width: 16, layerCount: 2, feedForwardWidth: 24,
          contextLength: 32, norm: .init(kind: .rootMeanSquare, epsilon: 1e-5),
          position: .rotary(base: 10_000, dimensions: 4, pairing: .adjacent),
          attention: .init(headCount: 4, keyValueHeadCount: 2, headDimension: 4),
          feedForward: .init(kind: .gated, activation: .silu), tiedHead: false))
    #expect(checkpoint.tensors.map(\.name) == HuggingFaceReaderTests.llamaNames + ["head"])
    #expect(checkpoint.beginOfSequence == 1 && checkpoint.endOfSequence == 2)
    #expect(checkpoint.tokenizerSource == nil)
    #expect(
      checkpoint.provenance
        == CheckpointProvenance(
          format: "llama2.c version 0", name: "model.bin", files: ["model.bin"],
          byteCount: 28 + 4 * CheckpointFixture.llama2c([16, 24, 2, 4, 2, -20, 32]).floats,
          storedTypes: ["F32"]))

    // Where the format puts them: rows, columns, first float.
    var starts: [String: (Int, Int, Int)] = ["embedding": (20, 16, 0)]
    var next = 320
    for (name, rows, columns) in [
      ("attention_norm", 1, 16), ("attention.query", 16, 16), ("attention.key", 8, 16),
      ("attention.value", 8, 16), ("attention.output", 16, 16), ("feed_forward_norm", 1, 16),
      ("feed_forward.gate", 24, 16), ("feed_forward.down", 16, 24), ("feed_forward.up", 24, 16),
    ] {
      for layer in 0..<2 {
        starts["layers.\(layer).\(name).weight"] = (rows, columns, next)
        next += rows * columns
      }
    }
    starts["final_norm.weight"] = (1, 16, next)
    starts["head"] = (20, 16, next + 16 + 32 * 4)
    for tensor in checkpoint.tensors {
      let (rows, columns, first) = try #require(starts[tensor.name])
      #expect(tensor.rows == rows && tensor.columns == columns)
      #expect(try tensor.values() == (first..<(first + rows * columns)).map(Float.init))
    }
  }

  @Test func findsTheTokenizerBesideIt() throws {
    let fixture = try CheckpointFixture()
    let model = fixture.path("model.bin")
    try write(fixture: fixture)
    try fixture.write("x", to: "tok512.bin")
    #expect(
      try CheckpointReader.open(model).tokenizerSource == .llama2c(fixture.path("tok512.bin")))
    try fixture.write("x", to: "tok4096.bin")
    let undecided = try CheckpointReader.open(model)
    #expect(undecided.tokenizerSource == nil)
    #expect(undecided.warnings.count == 1)
    try fixture.write("x", to: "tokenizer.bin")
    #expect(
      try CheckpointReader.open(model).tokenizerSource == .llama2c(fixture.path("tokenizer.bin")))
    let named = try CheckpointReader.open(model, tokenizer: fixture.path("tok512.bin"))
    #expect(named.tokenizerSource == .llama2c(fixture.path("tok512.bin")))
    #expect(
      openingError(model, tokenizer: fixture.path("absent.bin"))
        == .notFound(path: fixture.path("absent.bin")))
    #expect(openingError(model, tokenizer: fixture.path) == .notAFile(path: fixture.path))
  }

  @Test func saysHowManyBytesAreWrong() throws {
    let fixture = try CheckpointFixture()
    let (header, count) = CheckpointFixture.llama2c()
    let whole = header + [UInt8](repeating: 0, count: 4 * count)
    let path = fixture.path("model.bin")
    for length in [1, 27, 28, 29, 4000, whole.count - 4, whole.count - 1, whole.count + 1] {
      try fixture.write(
        Array((whole + [0]).prefix(length)), to: "model.bin")
      let error = try #require(openingError(path))
      #expect(
        error
          == .wrongSize(path: path, expected: length < 28 ? 28 : whole.count, found: length))
    }
    #expect(openingError(path)?.description.contains("1 too many") == true)
    try fixture.write([], to: "model.bin")
    #expect(openingError(path) == .emptyFile(path: path))
  }

  @Test(
    arguments: [
      [0, 24, 2, 4, 2, 20, 32], [-16, 24, 2, 4, 2, 20, 32], [16, 0, 2, 4, 2, 20, 32],
      [16, 24, -1, 4, 2, 20, 32], [16, 24, 2, 0, 2, 20, 32], [16, 24, 2, 3, 1, 20, 32],
      [16, 24, 2, 4, 3, 20, 32], [16, 24, 2, 4, 8, 20, 32], [16, 24, 2, 16, 2, 20, 32],
      [16, 24, 2, 4, 2, 0, 32], [16, 24, 2, 4, 2, 20, 0],
      // Sizes that overflow 64 bits, and such that do not.
      [.max, .max, .max, 1, 1, .min, .max], [2_147_483_646, .max, .max, 1, 1, .min, .max],
      [2, 1, .max, 1, 1, .min, .max], [0x4C4C_4C4C, 1, 1, 2, 1, 1, 1],
    ] as [[Int32]])
  func refusesImplausibleHeaders(header: [Int32]) throws {
    let fixture = try CheckpointFixture()
    try fixture.write(
      CheckpointFixture.int32(header) + [UInt8](repeating: 0, count: 5000), to: "model.bin")
    #expect(openingError(fixture.path("model.bin"))?.category == .damaged)
  }

  @Test(arguments: [
    ("GGUF....", "GGUF"), ("24ka\u{3}\0\0\0", "version 3"), ("tjgg....", "GGML"),
  ])
  func namesOtherFormats(start: String, name: String) throws {
    let fixture = try CheckpointFixture()
    try fixture.write(start + String(repeating: " ", count: 300), to: "model.bin")
    let error = try #require(openingError(fixture.path("model.bin")))
    #expect(error.category == .unsupported)
    #expect(error.description.contains(name) && error.description.contains("supported:"))
  }

  @Test func reportsInfinity() throws {
    let fixture = try CheckpointFixture()
    let (header, count) = CheckpointFixture.llama2c()
    var values = [Float](repeating: 1, count: count)
    values[3 * 16 + 5] = -.infinity
    try fixture.write(header + CheckpointFixture.float32(values), to: "model.bin")
    let path = fixture.path("model.bin")
    let embedding = try CheckpointReader.open(path).tensor("embedding")
    #expect(
      throws: CheckpointError.notFinite(
        path: path, tensor: "embedding", storedAs: "token_embedding_table", row: 3, column: 5,
        value: "infinity")
    ) { try embedding.values() }
    #expect(try embedding.values(rows: 4..<6) == [Float](repeating: 1, count: 32))
  }

  @Test func noticesAFileThatShrinks() throws {
    let fixture = try CheckpointFixture()
    try write(fixture: fixture)
    let path = fixture.path("model.bin")
    let checkpoint = try CheckpointReader.open(path)
    let descriptor = try FileDescriptor.open(path, .writeOnly)
    try descriptor.resize(to: 100)
    try descriptor.close()
    let embedding = try checkpoint.tensor("embedding")
    #expect(
      throws: CheckpointError.endedEarly(path: path, offset: 100, missing: 28 + 20 * 16 * 4 - 100)
    ) { try embedding.values() }
  }
}
