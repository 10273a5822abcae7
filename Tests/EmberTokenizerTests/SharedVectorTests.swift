import EmberFormat
import EmberTestSupport
import EmberTokenizer
import Foundation
import SystemPackage
import Testing

/// Real tokenizers against what independent implementations say of them. The data is too large, or
/// under licences too narrow, to ship with the repository.
@Suite(.enabled(if: TestData.hasShared, "needs the shared reference data"))
struct SharedVectorTests {
  static func json<Value: Decodable>(_ path: String, as: Value.Type) throws -> Value {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return try decoder.decode(
      Value.self, from: Data(contentsOf: URL(filePath: TestData.shared(path))))
  }

  static func text(_ path: String) throws -> String {
    try String(contentsOf: URL(filePath: TestData.shared(path)), encoding: .utf8)
  }

  static func llama2c(_ path: String, _ size: Int) throws -> Tokenizer {
    let tokenizer = try Tokenizer.llama2c(
      contentsOf: FilePath(TestData.shared(path)), vocabularySize: size)
    try tokenizer.selfCheck()
    return tokenizer
  }

  static func huggingFace(_ folder: String) throws -> Tokenizer {
    let tokenizer = try Tokenizer.huggingFace(
      tokenizerJSON: FilePath(TestData.shared("\(folder)/tokenizer.json")), beginOfSequence: nil,
      endOfSequence: nil)
    try tokenizer.selfCheck()
    return tokenizer
  }

  /// Texts separated by `__ggml_vocab_test__` lines, and their ids, a line each.
  static func checkVectors(_ name: String, _ tokenizer: Tokenizer) throws {
    let texts = try text("tokenizers/vectors/\(name).inp")
      .components(separatedBy: "\n__ggml_vocab_test__\n")
    let lines = try text("tokenizers/vectors/\(name).out").split(
      separator: "\n", omittingEmptySubsequences: false)
    #expect(texts.count > 40)
    // The separator stands behind the last text too, and a newline behind the last line.
    for (text, line) in zip(texts.dropLast(), lines) {
      let expected = line.split(separator: " ").compactMap { Int32($0) }
      #expect(tokenizer.encode(text, addingBeginOfSequence: false) == expected, "\(name): \(text)")
    }
  }

  struct Encoded: Decodable {
    let text: String
    let tokenIds: [Int32]
  }

  struct Perplexity: Decodable {
    struct Windows: Decodable {
      let first20Ids: [Int32]?
      let totalTokensInText: Int?
    }
    let windows: Windows
    enum CodingKeys: String, CodingKey {
      case windows = "A"
    }
  }

  struct ReferenceLogits: Decodable {
    let prompt: String
    let promptIds: [Int32]
  }

  @Test func llama2() throws {
    let tokenizer = try Self.llama2c("tokenizers/llama2/tokenizer.bin", 32000)
    #expect(tokenizer.kindDescription == "scored BPE with byte fallback, 32000 tokens")
    try Self.checkVectors("llama-spm", tokenizer)
    try Self.checkVectors("phi-3", tokenizer)
    let long = try Self.json("tokenizers/vectors/llama_encoded.json", as: Encoded.self)
    #expect(tokenizer.encode(long.text) == long.tokenIds)
    #expect(tokenizer.decode(long.tokenIds) == long.text)
  }

  @Test(arguments: [
    ("stories260K", "stories260K/tok512.bin", 512), ("babyllama", "babyllama/tok105.bin", 105),
  ])
  func smallLlama2c(folder: String, file: String, size: Int) throws {
    let tokenizer = try Self.llama2c(file, size)
    let logits = try Self.json("\(folder)/reference_logits.json", as: ReferenceLogits.self)
    #expect(tokenizer.encode(logits.prompt) == logits.promptIds)
    #expect(tokenizer.decode(logits.promptIds) == logits.prompt)
    let expected = try Self.json("\(folder)/perplexity.json", as: Perplexity.self).windows
    let ids = tokenizer.encode(try Self.text("text/tinystories.txt"), addingBeginOfSequence: false)
    #expect(Array(ids.prefix(20)) == expected.first20Ids)
    #expect(ids.count == expected.totalTokensInText)
  }

  struct WikiText: Decodable {
    let nTokens: Int
    let sha256OfLeInt32Ids: String
    let first1024: [Int32]
  }

  @Test func gpt2() throws {
    let tokenizer = try Self.huggingFace("tokenizers/gpt2")
    try Self.checkVectors("gpt-2", tokenizer)
    let long = try Self.json("tokenizers/vectors/gpt2_encoded_tokens.json", as: Encoded.self)
    #expect(tokenizer.encode(long.text) == long.tokenIds)
    let expected = try Self.json("text/wikitext2_test.gpt2_ids.json", as: WikiText.self)
    let text = try Self.text("text/wikitext2_test.txt")
    let ids = tokenizer.encode(text)
    #expect(ids.count == expected.nTokens)
    #expect(Array(ids.prefix(1024)) == expected.first1024)
    let bytes = ids.flatMap { id in
      (0..<4).map { UInt8(truncatingIfNeeded: id >> (8 * Int32($0))) }
    }
    #expect(SHA256.hexadecimal(of: bytes) == expected.sha256OfLeInt32Ids)
    #expect(tokenizer.decode(ids).utf8.elementsEqual(text.utf8))
    #expect(tokenizer.encode("a<|endoftext|>b") == [64, 50256, 65])
    #expect(!tokenizer.encode("<|endoftext|>", parsingSpecialTokens: false).contains(50256))
  }

  struct Reference: Decodable {
    struct Prompt: Decodable {
      let prompt: String
      let ids: [Int32]
    }
    let tokensInText: Int
    let first20Ids: [Int32]
    let prompts: [Prompt]
  }

  @Test(arguments: ["novel-llama", "novel-gpt2"])
  func novel(folder: String) throws {
    let tokenizer = try Self.huggingFace(folder)
    let expected = try Self.json("\(folder)/reference.json", as: Reference.self)
    let ids = tokenizer.encode(try Self.text("text/test.txt"))
    #expect(ids.count == expected.tokensInText)
    #expect(Array(ids.prefix(20)) == expected.first20Ids)
    #expect(!expected.prompts.isEmpty)
    for prompt in expected.prompts {
      #expect(tokenizer.encode(prompt.prompt) == prompt.ids)
      #expect(tokenizer.decode(prompt.ids) == prompt.prompt)
    }
  }
}
