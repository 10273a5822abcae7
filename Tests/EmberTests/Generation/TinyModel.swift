import EmberFormat
import EmberGeneration
import EmberKernels
import EmberModel
import EmberTestSupport
import EmberTokenizer
import Foundation
import SystemPackage

/// A folder that goes away with the test.
final class TemporaryFolder {
  let url: URL
  init() throws { url = try TestData.temporaryFolder() }
  deinit { try? FileManager.default.removeItem(at: url) }

  func path(_ name: String) -> FilePath { FilePath(url.appending(path: name).path) }
}

/// Model files of two layers and width 64 with a vocabulary of 270, written by the page of the
/// format: small enough to make one per test, and with weights that say what comes out.
enum TinyModel {
  static let vocabularySize = 270
  static let width = 64

  enum Behaviour {
    /// Weights from a seed: nothing about the result is special.
    case random(seed: UInt64)
    /// All logits are 0: every token is as probable as any other.
    case uniform
    /// Each of these tokens is followed by the next, with near certainty; what follows others is
    /// undecided.
    case chain([Int32])
    /// A logit that is not a number, whatever the text.
    case notFinite
  }

  static func make(
    _ behaviour: Behaviour, in folder: TemporaryFolder, named name: String = "model",
    type: BlockType = .f16, contextLength: Int = 64, vocabularySize: Int = vocabularySize,
    tokenizer: [UInt8]? = nil
  ) throws -> Model {
    let path = folder.path(name)
    let tokenizer = try tokenizer ?? self.tokenizer(in: folder).serialized()
    let builder = Builder(behaviour: behaviour, type: type, vocabularySize: vocabularySize)
    var writer = try ModelFileWriter(creating: path)
    try writer.beginExtent()
    try builder.add(TensorName.embedding, vocabularySize, width, to: &writer)
    try builder.add(TensorName.head, vocabularySize, width, to: &writer)
    try builder.addGain(TensorName.finalNorm, to: &writer)
    for layer in 0..<2 {
      for norm in [TensorName.Norm.attention, .feedForward] {
        try builder.addGain(TensorName.weight(norm, layer: layer), to: &writer)
      }
      for matrix in TensorName.Matrix.allCases where matrix != .router && matrix != .sharedGate {
        let rows =
          switch matrix {
          case .key, .value: 32
          case .gate, .up: 96
          case .query, .attentionOutput, .down, .router, .sharedGate: width
          }
        try builder.add(
          TensorName.weight(matrix, layer: layer), rows, matrix == .down ? 96 : width, to: &writer)
      }
    }
    let architecture = Architecture(
      name: "Tiny", vocabularySize: vocabularySize, width: width, layerCount: 2,
      feedForwardWidth: 96, contextLength: contextLength,
      norm: .init(kind: .rootMeanSquare, epsilon: 1e-5),
      position: .rotary(base: 10_000, dimensions: 16, pairing: .adjacent),
      attention: .init(headCount: 4, keyValueHeadCount: 2, headDimension: 16),
      feedForward: .init(kind: .gated, activation: .silu), tiedHead: false)
    let metadata = ModelMetadata(
      architecture: architecture, recipe: .init(bits: 16, tableBits: 16, outliers: "0"),
      source: .init(format: "test", name: "tiny", files: [], bytes: 0, types: []),
      writtenBy: "test")
    _ = try writer.finish(metadata: try metadata.encoded(), tokenizer: tokenizer)
    return try Model(opening: path)
  }

  /// <unk>, BOS = 1, EOS = 2, the bytes from 3 on, then a few pieces.
  static func tokenizer(in folder: TemporaryFolder) throws -> Tokenizer {
    var pieces = ["<unk>", "\n<s>\n", "\n</s>\n"]
    pieces += (0..<256).map { String(format: "<0x%02X>", $0) }
    pieces += [" ", "a", "b", "c", "d", "e", " a", "ab", "abc", "de", " b"]
    var bytes: [UInt8] = []
    func append(_ word: UInt32) {
      bytes += (0..<4).map { UInt8(word >> UInt32(8 * $0) & 255) }
    }
    append(8)
    for (id, piece) in pieces.enumerated() {
      append(Float(-id).bitPattern)
      append(UInt32(piece.utf8.count))
      bytes += Array(piece.utf8)
    }
    let path = folder.path("tokenizer.bin")
    try Data(bytes).write(to: URL(filePath: path.string))
    return try Tokenizer.llama2c(contentsOf: path, vocabularySize: pieces.count)
  }

  /// The token that is this byte alone.
  static func byte(_ byte: UInt8) -> Int32 { 3 + Int32(byte) }
  static func bytes(_ text: String) -> [Int32] { text.utf8.map(byte) }
}

/// Tensors of one model file.
private struct Builder {
  let behaviour: TinyModel.Behaviour
  let type: BlockType
  let vocabularySize: Int

  func add(_ name: String, _ rows: Int, _ columns: Int, to writer: inout ModelFileWriter) throws {
    let layout = try TensorLayout(type: type, rows: rows, columns: columns)
    try writer.beginTensor(named: name, layout: layout)
    try writer.write(packed(values(name, rows, columns), layout))
    try writer.endTensor(outlierCount: 0, relativeError: 0)
  }

  func addGain(_ name: String, to writer: inout ModelFileWriter) throws {
    try writer.beginTensor(
      named: name, layout: try TensorLayout(type: .f32, rows: 1, columns: TinyModel.width))
    var value: Float = 1
    if case .notFinite = behaviour, name == TensorName.finalNorm { value = .nan }
    let bits = value.bitPattern
    let one = (0..<4).map { UInt8(bits >> UInt32(8 * $0) & 255) }
    try writer.write((0..<TinyModel.width).flatMap { _ in one })
    try writer.endTensor(outlierCount: 0, relativeError: 0)
  }

  /// [rows · columns] in units of 1/64, −127 ... 127: exact as halves and as q8 codes.
  private func values(_ name: String, _ rows: Int, _ columns: Int) -> [Int] {
    var values = [Int](repeating: 0, count: rows * columns)
    switch behaviour {
    case .uniform, .notFinite:
      break
    case .random(let seed):
      var generator = SplitMix64(seed: seed ^ name.utf8.reduce(7) { $0 &* 31 &+ UInt64($1) })
      for i in values.indices { values[i] = Int(generator.next() % 63) - 31 }
    case .chain(let tokens):
      // The stream is the last token's embedding, entries ±1, and the head's row of what follows
      // is the same: their product is 64, that of others rarely above 32.
      let embedding = signs(vocabularySize * columns)
      if name == TensorName.embedding { return embedding }
      guard name == TensorName.head else { break }
      for (last, next) in zip(tokens, tokens.dropFirst()) {
        for column in 0..<columns {
          values[Int(next) * columns + column] = embedding[Int(last) * columns + column]
        }
      }
    }
    return values
  }

  private func signs(_ count: Int) -> [Int] {
    var generator = SplitMix64(seed: 5)
    return (0..<count).map { _ in generator.next() % 2 == 0 ? 64 : -64 }
  }

  private func packed(_ values: [Int], _ layout: TensorLayout) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: layout.byteCount)
    func store(_ value: Float, at offset: Int) {
      bytes[offset] = UInt8(Half.bits(value) & 255)
      bytes[offset + 1] = UInt8(Half.bits(value) >> 8)
    }
    for group in 0..<layout.rowGroups {
      for tile in 0..<layout.columnTiles {
        let base = layout.tileOffset(rowGroup: group, columnTile: tile)
        for (r, c) in (0..<16).flatMap({ r in (0..<64).map { (r, $0) } }) {
          let (row, column) = (16 * group + r, 64 * tile + c)
          let isInside = row < layout.rows && column < layout.columns
          let value = isInside ? values[row * layout.columns + column] : 0
          if layout.type == .f16 {
            store(Float(value) / 64, at: base + 32 * c + 2 * r)
          } else {
            let (block, inner) = (c / 32, c % 32)
            let isPadding = row >= layout.rows || 64 * tile + 32 * block >= layout.columns
            store(isPadding ? 0 : 1 / 64, at: base + 32 * block + 2 * r)
            bytes[base + 64 + 512 * block + 64 * (inner / 4) + 4 * r + inner % 4] =
              UInt8(value + 128)
          }
        }
      }
    }
    return bytes
  }
}
