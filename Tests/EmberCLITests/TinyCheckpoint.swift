import EmberTestSupport
import Foundation
import Testing

/// A folder with a checkpoint of two layers and random weights, `model.bin` and `tokenizer.bin`,
/// removed with the value.
final class TinyCheckpoint: Sendable {
  static let vocabularySize = 270
  let folder: URL

  /// - Parameter contextLength: of the model.
  init(contextLength: Int = 256) throws {
    folder = try TestData.temporaryFolder()
    try write(Self.model(contextLength: contextLength), to: "model.bin")
    try write(Self.tokenizer, to: "tokenizer.bin")
  }

  deinit { try? FileManager.default.removeItem(at: folder) }

  func path(_ name: String) -> String { folder.appending(path: name).path }

  func write(_ bytes: [UInt8], to name: String) throws {
    try Data(bytes).write(to: folder.appending(path: name))
  }

  func write(_ text: String, to name: String) throws { try write(Array(text.utf8), to: name) }

  func bytes(of name: String) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: folder.appending(path: name)))
  }

  func exists(_ name: String) -> Bool { FileManager.default.fileExists(atPath: path(name)) }

  /// Names of all files in the folder, hidden ones too.
  var files: [String] {
    get throws { try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() }
  }

  /// Runs the command in the folder.
  func ember(
    _ arguments: String..., input: String = "",
    whileRunning: (EmberProcess.Running) async throws -> Void = { _ in }
  ) async throws -> EmberProcess.Result {
    try await EmberProcess.run(arguments, input: input, in: folder, whileRunning: whileRunning)
  }

  /// Converts to `model.q4`, `model.q8` or `model.f16`.
  func quantize(bits: Int = 4) async throws {
    let result = try await ember("quantize", "model.bin", "--bits", "\(bits)")
    try #require(result.status == 0, "\(result.error)")
  }

  // MARK: llama2.c

  /// The header and the weights of version 0.
  private static func model(contextLength: Int) -> [UInt8] {
    let (width, inner, layers, heads, keyValueHeads) = (64, 160, 2, 4, 2)
    let headDimension = width / heads
    let header = [
      width, inner, layers, heads, keyValueHeads, vocabularySize, contextLength,
    ]
    var random = Random()
    var weights: [Float] = []
    func matrix(_ count: Int) { for _ in 0..<count { weights.append(random.next() / 4) } }
    func gains(_ count: Int) { weights += [Float](repeating: 1, count: count) }
    matrix(vocabularySize * width)
    gains(layers * width)
    matrix(layers * width * width)
    matrix(layers * width * keyValueHeads * headDimension)
    matrix(layers * width * keyValueHeads * headDimension)
    matrix(layers * width * width)
    gains(layers * width)
    matrix(layers * 3 * width * inner)
    gains(width)
    // Tables of the rotary embedding, which readers skip.
    weights += [Float](repeating: 0, count: contextLength * headDimension)
    return header.flatMap { littleEndian(UInt32($0)) }
      + weights.flatMap { littleEndian($0.bitPattern) }
  }

  /// Control tokens, the 256 bytes, and a few pieces to merge.
  private static var tokenizer: [UInt8] {
    let pieces = [" ", "a", "e", "h", "n", "o", "t", "th", "the", " t", " the"]
    let texts =
      ["<unk>", "\n<s>\n", "\n</s>\n"]
      + (0..<256).map { "<0x" + ($0 < 16 ? "0" : "") + String($0, radix: 16).uppercased() + ">" }
      + pieces
    var bytes = littleEndian(8)
    for (index, text) in texts.enumerated() {
      // Longer pieces win.
      let score = index < 259 ? Float(0) : Float(text.utf8.count)
      bytes += littleEndian(score.bitPattern) + littleEndian(UInt32(text.utf8.count)) + text.utf8
    }
    return bytes
  }

  private static func littleEndian(_ value: UInt32) -> [UInt8] {
    (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
  }

  private struct Random {
    private var state: UInt64 = 0x9E37_79B9_7F4A_7C15

    /// −1 to 1.
    mutating func next() -> Float {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Float(state >> 40) / Float(1 << 23) - 1
    }
  }
}
