import EmberFormat
import EmberKernels
import EmberModel
import EmberQuantizer
import EmberTestSupport
import EmberTokenizer
import Foundation
import SystemPackage
import Testing

/// A model written as GGUF, and read again.
@Suite("Export, GGUF")
struct GGUFExportTests {
  /// Everything that llama.cpp has a name for, and what it is called there.
  static let names: [(fixture: String, architecture: String)] = [
    ("llama", "llama"), ("llama-3.1", "llama"), ("llama-3.2", "llama"), ("llama-linear", "llama"),
    ("llama-yarn", "llama"), ("llama-longrope", "llama"), ("mistral", "llama"),
    ("mistral-wide", "llama"), ("mixtral", "llama"), ("qwen2", "qwen2"), ("qwen3", "qwen3"),
    ("qwen2-moe", "qwen2moe"), ("qwen3-moe", "qwen3moe"), ("gemma", "gemma"),
    ("gemma2", "gemma2"), ("gemma3", "gemma3"), ("phi3", "phi3"), ("phi3-longrope", "phi3"),
    ("gpt-neox", "gptneox"), ("gpt-neox-sequential", "gptneox"), ("gpt2", "gpt2"),
    ("bloom", "bloom"),
  ]

  static let texts = [
    "Hello, world!", "the other thing in the hat, another 12 times", "  naïve café\n\tend ",
    "日本語 e\u{301} 😀",
  ]

  /// llama.cpp knows the scale of Gemma's scores from the dimension of a head; the fixtures' is
  /// another one.
  static func fixture(_ name: String) throws -> ExportFixture {
    try ExportFixture(
      name, change: ["gemma2", "gemma3"].contains(name) ? ("query_pre_attn_scalar", 16) : nil)
  }

  @Test("16 bits there and back are the same bits", arguments: names)
  func roundTrip(name: (fixture: String, architecture: String)) throws {
    let fixture = try Self.fixture(name.fixture)
    let summary = try fixture.export(.gguf, to: "export.gguf")
    #expect(summary.architecture == name.architecture)
    try ExportFixture.convert(fixture.path("export.gguf"), to: fixture.path("copy"))
    let (model, copy) = (
      try Model(opening: fixture.model), try Model(opening: fixture.path("copy"))
    )
    let expected = try ModelValues.of(fixture.model)
    let found = try ModelValues.of(fixture.path("copy"))
    #expect(Set(expected.keys) == Set(found.keys))
    for (tensor, values) in expected {
      let reordered = Self.adjacent(values, tensor, model: model, isLlama: name.1 == "llama")
      #expect(found[tensor] == reordered, "\(tensor)")
    }
    let tokenizers = try [model, copy].map { try Tokenizer(serialized: $0.file.tokenizer) }
    for text in Self.texts {
      #expect(tokenizers[0].encode(text) == tokenizers[1].encode(text))
      #expect(
        tokenizers[1].decode(tokenizers[1].encode(text))
          == tokenizers[0].decode(tokenizers[0].encode(text)))
    }
  }

  /// Same bits in another order of a head's elements add up to nearly the same logits.
  @Test("logits are those of the model", arguments: names)
  func logits(name: (fixture: String, architecture: String)) throws {
    let fixture = try Self.fixture(name.fixture)
    try fixture.export(.gguf, to: "export.gguf")
    try ExportFixture.convert(fixture.path("export.gguf"), to: fixture.path("copy"))
    let ids: [Int32] = (0..<40).map { $0 * 7 % 250 }
    func logits(_ path: FilePath) throws -> [Float] {
      try InferenceSession(model: Model(opening: path), contextLength: 64, threads: 1).append(ids)
    }
    let (one, other) = (try logits(fixture.model), try logits(fixture.path("copy")))
    let distance = zip(one, other).map { abs($0 - $1) }.max() ?? .infinity
    #expect(distance < 2e-3, "\(distance)")
  }

  /// The values of a query or key matrix with the rows of each head as GGUF's "llama" has them.
  private static func adjacent(
    _ values: [Float], _ tensor: String, model: Model, isLlama: Bool
  ) -> [Float] {
    let isRotated = ["attention.query.", "attention.key."].contains { tensor.contains($0) }
    guard isLlama, isRotated else { return values }
    let size = model.architecture.attention.headDimension
    let rows = values.count / model.architecture.width
    let width = model.architecture.width
    return (0..<rows).flatMap { row -> ArraySlice<Float> in
      let (head, inner) = (row / size, row % size)
      let source = head * size + inner / 2 + inner % 2 * (size / 2)
      return values[(source * width)..<((source + 1) * width)]
    }
  }

  /// By the formula of ggml's reference: the scale is the largest size / 127, quotients are rounded
  /// with halves away from zero, and then the scale is rounded to binary16.
  @Test("Q8_0 is rounded as ggml does")
  func q8() throws {
    let fixture = try ExportFixture("gpt2", bits: 8, outliers: .percent(2))
    try fixture.export(.gguf, type: .q8x0, to: "export.gguf")
    let expected = try ModelValues.of(fixture.model)
    let checkpoint = try CheckpointReader.open(fixture.path("export.gguf"))
    var count = 0
    for tensor in checkpoint.tensors where tensor.storedType == "Q8_0" {
      let values = try #require(expected[tensor.name])
      let found = try tensor.allValues
      for start in stride(from: 0, to: values.count, by: 32) {
        let block = values[start..<(start + 32)]
        let scale = (block.map(abs).max() ?? 0) / 127
        let inverse: Float = scale == 0 ? 0 : 1 / scale
        let rounded = block.map { value -> Float in
          let quotient = value * inverse
          let code =
            quotient < 0 ? -(0.5 - quotient).rounded(.down) : (0.5 + quotient).rounded(.down)
          return Half.value(Half.bits(scale)) * code
        }
        #expect(Array(found[start..<(start + 32)]) == rounded, "\(tensor.name)")
      }
      count += 1
    }
    #expect(count > 5)
  }

  /// Blocks and what the gguf package's `quantize` makes of them.
  @Test func q8OfTheReference() throws {
    let steps = (0..<32).map { Float($0 * 37 % 64 - 31) / 8 + ($0 % 3 == 0 ? 0 : 0.0039) }
    #expect(
      Self.hexadecimal(Q8Block.encoded(steps))
        == "09288518ad3fd567fc9124b94be073089d30c557ec7f14a93cd163f88d20b547dc6f")
    let ties: [Float] = [127, 0.5, -0.5, 1.5, -1.5, 2.5, -2.5, 126.5]
    #expect(
      Self.hexadecimal(Q8Block.encoded(ties + Array(repeating: 0, count: 24)))
        == "003c7f01ff02fe03fd7f" + String(repeating: "0", count: 48))
    #expect(Q8Block.encoded(Array(repeating: 0, count: 32)) == Array(repeating: 0, count: 34))
  }

  private static func hexadecimal(_ bytes: [UInt8]) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }

  @Test(
    "what GGUF has no words for is refused by name",
    arguments: [
      ("opt", "OPTForCausalLM"), ("gpt-j", "GPTJForCausalLM"), ("llama-dynamic", "dynamically"),
      ("qwen2-window", "window"), ("gemma2", "attention scale"),
    ])
  func refused(name: String, word: String) throws {
    let fixture = try ExportFixture(name)
    let error = #expect(throws: ExportError.self) { try fixture.export(.gguf, to: "export.gguf") }
    let line = error?.description ?? ""
    #expect(line.contains(word), "\(line)")
    #expect(!line.contains("\n"))
    if name == "opt" {
      #expect(line.contains("LlamaForCausalLM") && line.contains("BloomForCausalLM"))
    }
    #expect(!FileManager.default.fileExists(atPath: fixture.path("export.gguf").string))
  }
}
