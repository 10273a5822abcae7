import EmberTestSupport
import EmberTokenizer
import Foundation
import SystemPackage

/// The tokenizers that the tests ship or make.
enum TokenizerFixtures {
  static func path(_ name: String) -> FilePath {
    FilePath(TestData.bundled("Tests/EmberTokenizerTests/fixtures/\(name)"))
  }

  static func huggingFace(_ name: String) throws -> Tokenizer {
    try Tokenizer.huggingFace(
      tokenizerJSON: path("\(name).json"), beginOfSequence: nil, endOfSequence: nil)
  }

  /// A tokenizer.json of the fixtures, changed.
  static func huggingFace(
    _ name: String, begin: Int? = nil, end: Int? = nil,
    changing change: (inout [String: Any]) throws -> Void
  ) throws -> Tokenizer {
    let data = try Data(contentsOf: URL(filePath: path("\(name).json").string))
    var json = try JSONSerialization.jsonObject(with: data) as? [String: Any] ?? [:]
    try change(&json)
    return try withFile(Array(try JSONSerialization.data(withJSONObject: json))) { path in
      try Tokenizer.huggingFace(tokenizerJSON: path, beginOfSequence: begin, endOfSequence: end)
    }
  }

  /// Runs `body` with the path of a file of these bytes.
  static func withFile<Result>(_ bytes: [UInt8], _ body: (FilePath) throws -> Result) throws
    -> Result
  {
    let folder = try TestData.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let file = folder.appending(path: "file")
    try Data(bytes).write(to: file)
    return try body(FilePath(file.path))
  }

  /// llama2.c's tokenizer.bin with these pieces.
  static func llama2cBytes(_ pieces: [(score: Float, text: [UInt8])]) -> [UInt8] {
    func word(_ value: UInt32) -> [UInt8] {
      (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
    }
    let longest = pieces.map(\.text.count).max() ?? 0
    return word(UInt32(longest))
      + pieces.flatMap { word($0.score.bitPattern) + word(UInt32($0.text.count)) + $0.text }
  }

  static func llama2c(_ pieces: [(score: Float, text: [UInt8])]) throws -> Tokenizer {
    try withFile(llama2cBytes(pieces)) { path in
      try Tokenizer.llama2c(contentsOf: path, vocabularySize: pieces.count)
    }
  }

  static let controlPieces: [(score: Float, text: [UInt8])] = [
    (0, Array("<unk>".utf8)), (0, Array("\n<s>\n".utf8)), (0, Array("\n</s>\n".utf8)),
  ]

  static let bytePieces: [(score: Float, text: [UInt8])] = (0..<256).map { byte in
    let digits = String(byte, radix: 16, uppercase: true)
    return (0, Array("<0x\(digits.count == 1 ? "0" : "")\(digits)>".utf8))
  }

  /// A small scored vocabulary with byte fallback.
  static let smallScored: [(score: Float, text: [UInt8])] =
    controlPieces + bytePieces
    + [" t", "he", " the", "ll", "o", " ", "t", "h", "e", "l", "a", "é", "日"].enumerated().map {
      (-Float($0), Array($1.utf8))
    }
}
