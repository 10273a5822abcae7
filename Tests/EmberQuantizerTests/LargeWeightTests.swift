import EmberFormat
import EmberQuantizer
import EmberTestSupport
import Foundation
import SystemPackage
import Testing

/// Weights that a precision cannot hold are refused, with their place.
struct LargeWeightTests {
  /// A llama2.c checkpoint of ones with one weight of another value, in row 2, column 3 of the
  /// query matrix, and its tokenizer.
  private static func checkpoint(_ value: Float, in folder: URL) throws -> FilePath {
    let (width, inner, vocabulary, context) = (16, 32, 4, 8)
    var data = Data()
    for field in [width, inner, 1, 2, 2, vocabulary, context] {
      withUnsafeBytes(of: Int32(field).littleEndian) { data.append(contentsOf: $0) }
    }
    let before = vocabulary * width + width
    let after = 4 * width * width + width + 3 * width * inner + width + context * width / 2
    var weights = [Float](repeating: 0.5, count: before + after)
    weights[before + 2 * width + 3] = value
    weights.withUnsafeBytes { data.append(contentsOf: $0) }
    try data.write(to: folder.appending(path: "model.bin"))
    var tokenizer = Data()
    withUnsafeBytes(of: UInt32(5).littleEndian) { tokenizer.append(contentsOf: $0) }
    for piece in ["<unk>", "<s>", "</s>", "a"] {
      withUnsafeBytes(of: Float(0)) { tokenizer.append(contentsOf: $0) }
      withUnsafeBytes(of: Int32(piece.utf8.count).littleEndian) {
        tokenizer.append(contentsOf: $0)
      }
      tokenizer.append(contentsOf: piece.utf8)
    }
    try tokenizer.write(to: folder.appending(path: "tokenizer.bin"))
    return FilePath(folder.appending(path: "model.bin").path)
  }

  @Test(
    arguments: [
      (16, Float(7e4), nil, false), (16, 6.5e4, nil, true), (8, 1e7, nil, false),
      (8, 1e6, nil, true),
      (8, -1e20, nil, false), (4, 1e6, BlockType.q4, false), (4, -4e5, .q4, true),
      // Groups have scales in single precision.
      (4, 1e6, nil, true), (4, -9e14, nil, true), (4, 1.1e15, nil, false), (4, 3e38, nil, false),
      (5, 9e14, nil, true), (6, -1.1e15, nil, false),
    ] as [(Int, Float, BlockType?, Bool)])
  func limits(bits: Int, value: Float, type: BlockType?, isHeld: Bool) throws {
    let folder = try TestData.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let checkpoint = try Self.checkpoint(value, in: folder)
    let output = FilePath(folder.appending(path: "model.out").path)
    let converter = Converter(
      checkpoint: checkpoint, output: output,
      options: QuantizationOptions(
        bits: bits, tensorTypes: type.map { [TensorTypeRule(pattern: "layers.*", type: $0)] } ?? [])
    )
    if isHeld {
      #expect(try converter.run().largestRelativeError?.error ?? 0 < 0.5)
      return
    }
    let error = #expect(throws: QuantizerError.self) { try converter.run() }
    guard case .weightTooLarge(let tensor, let row, let column, let found, _) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(tensor == "layers.0.attention.query.weight" && row == 2 && column == 3)
    #expect(found == value)
    #expect(!FileManager.default.fileExists(atPath: output.string))
  }
}
