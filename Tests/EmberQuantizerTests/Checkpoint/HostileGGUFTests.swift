import EmberQuantizer
import EmberTestSupport
import Foundation
import SystemPackage
import Testing

/// Broken and hostile GGUF files: each ends in an error of one line. The corpus only grows.
@Suite struct HostileGGUFTests {
  private typealias F = GGUFFixture

  /// - Parameters:
  ///   - size: of the file, where it has a hole at its end.
  ///   - isLimited: whether the built program reads it, too, and has to stay within limits.
  private func error(
    _ bytes: [UInt8], size: Int64? = nil, isLimited: Bool = true
  ) throws -> CheckpointError? {
    let fixture = try CheckpointFixture()
    try fixture.write(bytes, to: "model.gguf")
    let path = fixture.path("model.gguf")
    if let size {
      let descriptor = try FileDescriptor.open(path, .readWrite)
      try descriptor.resize(to: size)
      try descriptor.close()
    }
    let error = openingError(path)
    #expect(error?.description.contains("\n") != true)
    if isLimited, error != nil { try expectWithinLimits(path) }
    return error
  }

  private func error(_ key: String, _ value: [UInt8], size: Int64? = nil) throws -> CheckpointError?
  {
    try error(F(metadata: [(key, value)]).bytes, size: size)
  }

  private static func nested(_ depth: Int) -> [UInt8] {
    (0..<depth).reduce(F.little(4, 4) + F.little(0, 8)) { inner, _ in
      F.little(9, 4) + F.little(1, 8) + inner
    }
  }

  private static let badValues: [(name: String, value: [UInt8])] = {
    let string = F.little(8, 4)
    let cut: [UInt8] = F.text("a") + F.little(1 << 50, 8)
    let twice: [UInt8] = F.little(7, 4) + [2]
    let deep: [UInt8] = F.little(9, 4) + nested(60)
    var values: [(name: String, value: [UInt8])] = []
    values.append(("huge array", F.array(4, .max)))
    values.append(("array beyond the end", F.array(4, 1000)))
    values.append(("huge array of strings", F.array(8, 1 << 60)))
    values.append(("huge string", string + F.little(.max, 8)))
    values.append(("string beyond the end", string + F.little(1000, 8)))
    values.append(("strings beyond the end", F.array(8, 2, cut)))
    values.append(("unknown type", F.little(13, 4)))
    values.append(("unknown element type", F.array(99, 1)))
    values.append(("no boolean", twice))
    values.append(("nothing", F.little(11, 4)))
    values.append(("arrays of arrays", deep))
    values.append(("huge array of arrays", F.array(9, 1 << 40)))
    values.append(("deeper than any stack", F.little(9, 4) + nested(100_000)))
    let empty = [UInt8]((0..<50_000).flatMap { _ in F.little(4, 4) + F.little(0, 8) })
    values.append(("many empty arrays, one missing", F.array(9, 50_001, empty)))
    values.append(("empty arrays without elements' type", F.array(9, 2, F.little(4, 4))))
    return values
  }()

  @Test(arguments: badValues)
  func metadataIsNotBelieved(name: String, value: [UInt8]) throws {
    let error = try error("key", value)
    #expect(error?.category == .damaged, "\(name)")
  }

  /// Where the file is large enough to have all that it announces: holes cost its author nothing.
  @Test func holesDoNotCount() throws {
    let size: Int64 = 8 << 30
    for value in [
      F.array(4, 1 << 30), F.array(8, 1 << 29), F.array(0, 1 << 32), F.array(9, 1 << 28),
      F.little(8, 4) + F.little(1 << 32, 8), F.array(12, 1 << 29),
    ] {
      #expect(try error("key", value, size: size)?.category == .damaged)
    }
    #expect(try error(F(tensorCount: 1 << 28).bytes, size: size)?.category == .damaged)
    #expect(try error(F(keyCount: 1 << 28).bytes, size: size)?.category == .damaged)
  }

  @Test func headers() throws {
    for length in 1..<24 {
      let bytes = Array(F().bytes.prefix(length))
      #expect(try error(bytes)?.category == .damaged, "\(length) bytes")
    }
    for version in [0, 1, 4, 0x0300_0000, .max] as [UInt32] {
      let error = try #require(try error(F(version: version).bytes))
      #expect(error.category == .unsupported)
    }
    #expect(try error(F(tensorCount: .max).bytes)?.category == .damaged)
    #expect(try error(F(keyCount: .max).bytes)?.category == .damaged)
    #expect(try error(F().bytes)?.category == .damaged)
    let key = ("general.architecture", F.string("llama"))
    #expect(try error(F(metadata: [key, key]).bytes)?.category == .damaged)
    let notText = F.little(1, 8) + [0xFF] + F.uint32(1)
    let beginning = Array(F(keyCount: 1).bytes.prefix(24))
    #expect(try error(beginning + notText)?.category == .damaged)
    for alignment in [0, 1, 3, 33, 1 << 31, .max] as [UInt32] {
      #expect(try error("general.alignment", F.uint32(alignment))?.category == .damaged)
    }
  }

  @Test(arguments: [
    [F.Tensor(name: "a", dimensions: [1 << 62, 1 << 62])],
    [F.Tensor(name: "a", dimensions: [.max])], [F.Tensor(name: "a", dimensions: [0])],
    [F.Tensor(name: "a", dimensions: [1 << 30, 1 << 30, 1 << 30, 1 << 30])],
    [F.Tensor(name: "a", dimensions: [])], [F.Tensor(name: "a", dimensions: [1, 1, 1, 1, 1])],
    [F.Tensor(name: "a", dimensions: [1], rank: .max)],
    // Data is 64 bytes.
    [F.Tensor(name: "a", dimensions: [17])], [F.Tensor(name: "a", dimensions: [9], offset: 32)],
    [F.Tensor(name: "a", dimensions: [1], offset: 1 << 40)],
    [F.Tensor(name: "a", dimensions: [1], offset: .max)],
    [F.Tensor(name: "a", dimensions: [1], offset: (1 << 63) - 32)],
    [F.Tensor(name: "a", dimensions: [1], offset: 4)],
    [F.Tensor(name: "a", dimensions: [33], type: 8)],
    [F.Tensor(name: "a", dimensions: [1]), F.Tensor(name: "a", dimensions: [1], offset: 32)],
    [F.Tensor(name: "a", dimensions: [9]), F.Tensor(name: "b", dimensions: [1], offset: 32)],
    [F.Tensor(name: "a", dimensions: [1], type: .max, offset: 1 << 40)],
  ])
  func tensorsAreNotBelieved(tensors: [GGUFFixture.Tensor]) throws {
    let file = F(tensors: tensors, data: [UInt8](repeating: 0, count: 64))
    #expect(try error(file.bytes)?.category == .damaged)
  }

  /// As many records as a file of some megabytes has room for, each of them fit to be read.
  @Test func manySmallRecords() throws {
    let keys = (0..<65_535).map { ("k\($0)", F.little(0, 4) + [7]) }
    #expect(try error(F(metadata: keys).bytes) != nil)
    let again = keys + [("k0", F.little(0, 4) + [7])]
    #expect(try error(F(metadata: again).bytes)?.category == .damaged)
    let tensors = (0..<65_535).map {
      F.Tensor(name: "t\($0)", dimensions: [8], offset: UInt64($0) * 32)
    }
    let data = [UInt8](repeating: 0, count: 32 * tensors.count)
    #expect(try error(F(tensors: tensors, data: data).bytes) != nil)
    let double = tensors + [F.Tensor(name: "t0", dimensions: [8], offset: 0)]
    #expect(try error(F(tensors: double, data: data).bytes)?.category == .damaged)
    // All of them at one place.
    let overlapping = (0..<65_535).map { F.Tensor(name: "t\($0)", dimensions: [8]) }
    #expect(try error(F(tensors: overlapping, data: data).bytes)?.category == .damaged)
    #expect(try error(F(tensors: double + [F.Tensor(name: "u", dimensions: [8])]).bytes) != nil)
    let texts = F.array(8, 500_000, [UInt8](repeating: 0, count: 8 * 500_000))
    #expect(try error("tokenizer.ggml.tokens", texts) != nil)
    let long = F.string(String(repeating: "x", count: 20_000_000))
    #expect(try error("general.architecture", long) != nil)
  }

  @Test func architecturesAreNamed() throws {
    for name in ["mamba", "\u{1B}[31mred", String(repeating: "x", count: 5000)] {
      let error = try #require(try error("general.architecture", F.string(name)))
      #expect(error.category == .unsupported)
      #expect(error.description.contains("known: llama, qwen2, qwen2moe, qwen3"))
      #expect(error.description.utf8.count < 800 && !error.description.contains("\u{1B}"))
    }
  }

  /// A llama whose metadata has one value more or another.
  @Test(
    arguments: [
      ("llama.block_count", F.uint32(0)), ("llama.block_count", F.float32(2)),
      ("llama.block_count", F.uint32(.max)), ("llama.attention.head_count", F.uint32(3)),
      ("llama.attention.head_count", F.array(4, 2, [1, 0, 0, 0, 2, 0, 0, 0])),
      ("llama.attention.head_count_kv", F.uint32(3)),
      ("llama.attention.layer_norm_rms_epsilon", F.float32(.nan)),
      ("llama.attention.layer_norm_rms_epsilon", F.float32(-1)),
      ("llama.rope.freq_base", F.string("big")), ("llama.rope.dimension_count", F.uint32(6)),
      ("llama.rope.dimension_count", F.uint32(3)),
      ("llama.attention.key_length", F.uint32(0x7FFF_FFFF)),
    ] as [(String, [UInt8])])
  func settingsAreChecked(key: String, value: [UInt8]) throws {
    var metadata: [(String, [UInt8])] = [
      ("general.architecture", F.string("llama")), ("llama.block_count", F.uint32(1)),
      ("llama.embedding_length", F.uint32(16)), ("llama.feed_forward_length", F.uint32(8)),
      ("llama.context_length", F.uint32(8)), ("llama.attention.head_count", F.uint32(4)),
      ("llama.attention.layer_norm_rms_epsilon", F.float32(1e-5)),
    ]
    let table = F.Tensor(name: "token_embd.weight", dimensions: [16, 2])
    let data = [UInt8](repeating: 0, count: 128)
    // As it is, only tensors are missing.
    #expect(
      try error(F(metadata: metadata, tensors: [table], data: data).bytes)?.category
        == .invalidWeights)
    metadata = metadata.filter { $0.0 != key } + [(key, value)]
    let error = try #require(
      try error(F(metadata: metadata, tensors: [table], data: data).bytes))
    #expect([.damaged, .unsupported].contains(error.category), "\(error)")
  }

  @Test func everyTruncationAndBrokenByteEndsWell() throws {
    let path = TestData.bundled("Tests/fixtures/checkpoints/gpt2-q8.gguf")
    let whole = try Array(Data(contentsOf: URL(filePath: path)))
    for length in Array(stride(from: 1, to: 3500, by: 41)) + [whole.count - 1] {
      let error = try error(Array(whole[..<length]), isLimited: false)
      #expect(error?.category == .damaged, "\(length) bytes")
    }
    var errors = 0
    for place in stride(from: 0, to: 3500, by: 7) {
      for byte in [0, 1, 0x7F, 0xFF] as [UInt8] {
        var bytes = whole
        bytes[place] = byte
        if try error(bytes, isLimited: false) != nil { errors += 1 }
      }
    }
    #expect(errors > 300)
  }
}
