import EmberTestSupport
import Foundation
import SystemPackage

/// A llama2.c checkpoint of two layers with reproducible random weights, and a tokenizer of single
/// letters that puts a space before every text; in a folder of its own, removed with the value.
final class CalibrationCheckpoint {
  static let width = 24
  static let inner = 40
  static let layers = 2
  static let context = 16

  let folder: URL
  var path: FilePath { FilePath(folder.appending(path: "model.bin").path) }

  init(scale: Float = 1) throws {
    folder = try TestData.temporaryFolder()
    let pieces = ["<unk>", "<s>", "</s>", " ", "a", "b", "c", "d", "e", "f"]
    let (width, inner, context) = (Self.width, Self.inner, Self.context)
    // Three query heads of 8, which share one key/value head.
    let (heads, keyWidth) = (3, 8)
    var data = Data()
    for field in [width, inner, Self.layers, heads, 1, pieces.count, context] {
      withUnsafeBytes(of: Int32(field).littleEndian) { data.append(contentsOf: $0) }
    }
    var random = RandomFloats(seed: 7)
    func append(_ count: Int, _ size: Float, around center: Float = 0) {
      for _ in 0..<count {
        withUnsafeBytes(of: center + size * random.next()) { data.append(contentsOf: $0) }
      }
    }
    append(pieces.count * width, 1 * scale)
    append(Self.layers * width, 0.5, around: 1)
    append(Self.layers * width * (2 * width + 2 * keyWidth), 0.3 * scale)
    append(Self.layers * width, 0.5, around: 1)
    append(Self.layers * 3 * width * inner, 0.3 * scale)
    append(width, 0.5, around: 1)
    append(context * 8, 0)
    try data.write(to: folder.appending(path: "model.bin"))

    var tokenizer = Data()
    withUnsafeBytes(of: UInt32(5).littleEndian) { tokenizer.append(contentsOf: $0) }
    for piece in pieces {
      withUnsafeBytes(of: Float(0)) { tokenizer.append(contentsOf: $0) }
      withUnsafeBytes(of: Int32(piece.utf8.count).littleEndian) {
        tokenizer.append(contentsOf: $0)
      }
      tokenizer.append(contentsOf: piece.utf8)
    }
    try tokenizer.write(to: folder.appending(path: "tokenizer.bin"))
  }

  deinit { try? FileManager.default.removeItem(at: folder) }

  func file(_ name: String) -> FilePath { FilePath(folder.appending(path: name).path) }

  /// The names in the folder besides the checkpoint's own.
  var others: [String] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
    return names.filter { $0 != "model.bin" && $0 != "tokenizer.bin" }.sorted()
  }
}

/// Reproducible numbers from −1 to 1 (SplitMix64).
struct RandomFloats {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> Float {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    z ^= z >> 31
    return Float(z >> 40) / Float(1 << 23) - 1
  }
}
