import EmberTestSupport
import EmberTokenizer
import Foundation
import SystemPackage
import Testing

/// Tokenizers written as `tokenizer.json` and as GGUF's metadata, and read again.
@Suite("Tokenizers written in other formats")
struct TokenizerExportTests {
  private static func kind(_ name: String) throws -> Tokenizer {
    try Tokenizer.huggingFace(
      tokenizerJSON: TokenizerFixtures.path("kinds/\(name).json"), beginOfSequence: nil,
      endOfSequence: nil)
  }

  private static func reread(_ tokenizer: Tokenizer) throws -> Tokenizer {
    let folder = try TestData.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let file = folder.appending(path: "tokenizer.json")
    try Data(try tokenizer.huggingFaceJSON()).write(to: file)
    return try Tokenizer.huggingFace(
      tokenizerJSON: FilePath(file.path),
      beginOfSequence: tokenizer.beginOfSequence.map { Int($0) },
      endOfSequence: tokenizer.endOfSequence.map { Int($0) })
  }

  @Test("tokenizer.json there and back is the same stored form", arguments: KindTests.names)
  func huggingFace(name: String) throws {
    let tokenizer = try Self.kind(name)
    let copy = try Self.reread(tokenizer)
    #expect(copy.serialized() == tokenizer.serialized())
    for example in try #require(try KindTests.vectors()[name]) {
      #expect(copy.encode(example.text) == example.ids, "\(example.text.debugDescription)")
      #expect(copy.decode(example.ids) == example.decoded, "\(example.text.debugDescription)")
    }
  }

  @Test(
    "GGUF's metadata there and back gives the same ids",
    arguments: ["llama3", "starcoder", "falcon", "bloom", "deepseek-coder"])
  func gguf(name: String) throws {
    let tokenizer = try Self.kind(name)
    let (vocabulary, warnings) = try tokenizer.ggufVocabulary(rows: tokenizer.vocabularySize + 3)
    // One of the fixtures has added tokens of every kind.
    #expect(warnings.count == (name == "llama3" ? 1 : 0))
    #expect(warnings.allSatisfy { $0.contains("white space") })
    let lost = ["<mask>", "Marta", "<0x4"]
    #expect(vocabulary.tokens.count == tokenizer.vocabularySize + 3)
    let copy = try Tokenizer.gguf(vocabulary, path: "copy.gguf")
    for example in try #require(try KindTests.vectors()[name])
    where !lost.contains(where: { example.text.contains($0) }) {
      #expect(
        copy.encode(example.text, addingBeginOfSequence: false)
          == tokenizer.encode(example.text, addingBeginOfSequence: false),
        "\(example.text.debugDescription)")
    }
  }

  @Test func normalizationIsWarnedOf() throws {
    let (vocabulary, warnings) = try Self.kind("qwen2").ggufVocabulary(rows: 1)
    #expect(vocabulary.preTokenizer == "qwen2")
    #expect(warnings.contains { $0.contains("NFC") })
  }

  @Test("what GGUF has no words for is refused", arguments: ["t5", "bert", "words", "gpt2"])
  func refused(name: String) throws {
    let tokenizer = try Self.kind(name)
    let error = #expect(throws: TokenizerError.self) { try tokenizer.ggufVocabulary(rows: 1) }
    #expect(error?.description.contains("cannot be written as GGUF") == true)
  }

  @Test func llama2c() throws {
    var bytes: [UInt8] = [9, 0, 0, 0]
    var pieces = ["<unk>", "\n<s>\n", "\n</s>\n"]
    pieces += (0..<256).map { "<0x" + String(format: "%02X", $0) + ">" }
    pieces += [" ", "t", "h", "e", " t", "he", " the", "n", "\u{e9}"]
    for (id, piece) in pieces.enumerated() {
      let score = (-Float(id)).bitPattern
      for word in [score, UInt32(piece.utf8.count)] {
        for shift in stride(from: UInt32(0), to: 32, by: 8) {
          bytes.append(UInt8(truncatingIfNeeded: word >> shift))
        }
      }
      bytes += piece.utf8
    }
    let folder = try TestData.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let file = folder.appending(path: "tokenizer.bin")
    try Data(bytes).write(to: file)
    let tokenizer = try Tokenizer.llama2c(contentsOf: FilePath(file.path))
    let json = try Self.reread(tokenizer)
    let gguf = try Tokenizer.gguf(
      try tokenizer.ggufVocabulary(rows: 1).0, path: "copy.gguf")
    for text in ["the then\n  é the 日", "", " the", "x"] {
      let ids = tokenizer.encode(text)
      #expect(json.encode(text) == ids && gguf.encode(text) == ids, "\(text.debugDescription)")
      #expect(json.decode(ids) == tokenizer.decode(ids))
      #expect(gguf.decode(ids) == tokenizer.decode(ids))
    }
  }

  @Test(
    "real vocabularies, against llama.cpp's ids",
    .enabled(if: TestData.hasShared, "needs the shared reference data"),
    arguments: [
      "gpt-2", "llama-spm", "phi-3", "falcon", "starcoder", "deepseek-coder", "refact", "mpt",
    ])
  func shared(name: String) throws {
    let path = TestData.shared("tokenizers/gguf/\(name).gguf")
    let tokenizer = try Tokenizer.gguf(try GGUFMetadata(path).vocabulary, path: path)
    let (vocabulary, _) = try tokenizer.ggufVocabulary(rows: tokenizer.vocabularySize)
    try SharedKindTests.check(name, try Tokenizer.gguf(vocabulary, path: path))
    try SharedKindTests.check(name, try Self.reread(tokenizer))
  }

  @Test(
    "Llama 2's own file",
    .enabled(if: TestData.hasShared, "needs the shared reference data"))
  func llama2() throws {
    let path = FilePath(TestData.shared("tokenizers/llama2/tokenizer.model"))
    let tokenizer = try Tokenizer.sentencePiece(contentsOf: path)
    try SharedKindTests.check("llama-spm", try Self.reread(tokenizer))
    let (vocabulary, _) = try tokenizer.ggufVocabulary(rows: tokenizer.vocabularySize)
    try SharedKindTests.check(
      "llama-spm", try Tokenizer.gguf(vocabulary, path: "copy.gguf"))
  }
}
