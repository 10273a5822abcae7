import EmberFormat
import EmberQuantizer
import Foundation
import SystemPackage
import Testing

/// What a tensor is stored as: by default, and by rules.
struct TensorTypeTests {
  @Test(
    "Patterns fit whole names",
    arguments: [
      ("head", "head", true), ("head", "heads", false), ("", "", true), ("", "a", false),
      ("*", "", true), ("*", "anything.at.all", true), ("**", "a", true), ("a*", "a", true),
      ("*a", "a", true), ("a*a", "a", false), ("a*a", "aa", true), ("ab*ba", "aba", false),
      ("layers.*.down.weight", "layers.1.feed_forward.down.weight", true),
      ("layers.1.*", "layers.11.attention.query.weight", false),
      ("layers.1*", "layers.11.attention.query.weight", true),
      ("*.down.*", "layers.1.feed_forward.down.weight", true),
      ("*down*up*", "layers.up.down", false), ("*a*a*", "xa", false), ("*a*a*", "xaya", true),
      ("*.weight", "layers.0.attention_norm.weight.bias", false),
      ("*ab*abc", "xababc", true), ("a*b*c", "a-b-b-c", true), ("a*bc*c", "abc", false),
    ])
  func patterns(pattern: String, name: String, fits: Bool) {
    #expect(TensorTypeRule(pattern: pattern, type: .q4).fits(name) == fits)
  }

  @Test("A pattern of many stars takes no exponential time")
  func manyStars() {
    let rule = TensorTypeRule(pattern: String(repeating: "*a", count: 200) + "b", type: .q4)
    #expect(!rule.fits(String(repeating: "a", count: 2000)))
  }

  private func types(_ options: QuantizationOptions) throws -> [String: BlockType] {
    let checkpoint = try CalibrationCheckpoint()
    let output = checkpoint.file("model.out")
    _ = try Converter(checkpoint: checkpoint.path, output: output, options: options).run()
    return Dictionary(
      uniqueKeysWithValues: try ModelFile(opening: output).tensors.map { ($0.name, $0.layout.type) }
    )
  }

  @Test(
    "Bits name a type for layers and one for tables",
    arguments: [
      (4, nil, BlockType.q4n, BlockType.q6), (5, nil, .q5, .q6), (6, nil, .q6, .q6),
      (8, nil, .q8, .q8), (16, nil, .f16, .f16), (4, 8, .q4n, .q8), (8, 4, .q8, .q4n),
      (5, 16, .q5, .f16),
    ] as [(Int, Int?, BlockType, BlockType)])
  func bits(bits: Int, tableBits: Int?, layers: BlockType, tables: BlockType) throws {
    let types = try types(QuantizationOptions(bits: bits, tableBits: tableBits))
    #expect(types["embedding"] == tables)
    #expect(types["layers.0.attention.query.weight"] == layers)
    #expect(types["layers.1.feed_forward.down.weight"] == layers)
    // The first eighth of two layers is the first.
    #expect(types["layers.0.feed_forward.down.weight"] == (bits == 4 ? .q5 : layers))
    let others = types.values.filter { ![layers, tables, .q5].contains($0) }
    #expect(!others.isEmpty && others.allSatisfy { $0 == .f32 })
  }

  @Test("The last rule that fits counts; norms stay as they are")
  func rules() throws {
    let types = try types(
      QuantizationOptions(
        bits: 4,
        tensorTypes: [
          TensorTypeRule(pattern: "*", type: .q8), TensorTypeRule(pattern: "*.down.*", type: .q4),
          TensorTypeRule(pattern: "layers.1.*down*", type: .f16),
        ]))
    #expect(types["layers.0.feed_forward.down.weight"] == .q4)
    #expect(types["layers.1.feed_forward.down.weight"] == .f16)
    #expect(types["layers.1.attention.key.weight"] == .q8)
    #expect(types["embedding"] == .q8)
    #expect(types.filter { $0.value == .f32 }.keys.allSatisfy { $0.contains("norm") })
    #expect(types.values.contains(.f32))
  }

  @Test("Single precision is for vectors only")
  func singlePrecision() {
    #expect(throws: QuantizerError.self) {
      try types(
        QuantizationOptions(bits: 4, tensorTypes: [TensorTypeRule(pattern: "*", type: .f32)]))
    }
  }
}
