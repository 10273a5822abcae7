import EmberTestSupport
import EmberTokenizer
import Foundation
import SystemPackage
import Testing

/// Real vocabularies in GGUF, SentencePiece's and tiktoken's files, against llama.cpp's and
/// transformers' ids.
@Suite(.enabled(if: TestData.hasShared, "needs the shared reference data"))
struct SharedKindTests {
  /// Texts separated by `__ggml_vocab_test__` lines, and their ids, a line each.
  static func check(_ name: String, _ tokenizer: Tokenizer) throws {
    func text(_ path: String) throws -> String {
      try String(
        contentsOf: URL(filePath: TestData.shared("tokenizers/vectors/\(path)")), encoding: .utf8)
    }
    try tokenizer.selfCheck()
    let texts = try text("\(name).inp").components(separatedBy: "\n__ggml_vocab_test__\n")
    let lines = try text("\(name).out").split(separator: "\n", omittingEmptySubsequences: false)
    #expect(texts.count > 40)
    for (text, line) in zip(texts.dropLast(), lines) {
      let expected = line.split(separator: " ").compactMap { Int32($0) }
      let found = tokenizer.encode(text, addingBeginOfSequence: false)
      #expect(found == expected, "\(name): \(text.debugDescription)")
    }
  }

  struct Encoded: Decodable {
    let text: String
    let tokenIds: [Int32]
  }

  @Test(arguments: [
    "gpt-2", "llama-spm", "phi-3", "bert-bge", "falcon", "starcoder", "deepseek-coder", "refact",
    "mpt",
  ])
  func gguf(name: String) throws {
    let path = TestData.shared("tokenizers/gguf/\(name).gguf")
    let vocabulary = try GGUFMetadata(path).vocabulary
    try Self.check(name, try Tokenizer.gguf(vocabulary, path: path))
  }

  @Test func llama2SentencePiece() throws {
    let path = FilePath(TestData.shared("tokenizers/llama2/tokenizer.model"))
    let tokenizer = try Tokenizer.sentencePiece(contentsOf: path)
    try Self.check("llama-spm", tokenizer)
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    let vectors = TestData.shared("tokenizers/vectors/llama_encoded.json")
    let long = try decoder.decode(Encoded.self, from: Data(contentsOf: URL(filePath: vectors)))
    #expect(tokenizer.encode(long.text) == long.tokenIds)
    #expect(tokenizer.decode(long.tokenIds) == long.text)
    #expect(tokenizer.decode(tokenizer.encode(" Hello")) == " Hello")
    let found = try #require(try Tokenizer.file(path))
    #expect(found.serialized() == tokenizer.serialized())
  }

  @Test func qwen2Ranks() throws {
    let path = FilePath(TestData.shared("tokenizers/qwen2/qwen.tiktoken"))
    let tokenizer = try Tokenizer.tiktoken(
      contentsOf: path, expression: .qwen2, specialTokens: [("<|endoftext|>", 151_643)])
    try Self.check("qwen2", tokenizer)
    #expect(tokenizer.encode("a<|endoftext|>") == [64, 151_643])
  }
}
