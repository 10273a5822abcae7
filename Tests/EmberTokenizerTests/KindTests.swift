import EmberTestSupport
import EmberTokenizer
import Foundation
import Testing

/// A tiny tokenizer of each kind against Hugging Face's `tokenizers`: ids and decoded text
/// (tools/fixtures/make_tokenizer_kinds.py).
@Suite struct KindTests {
  /// Text, ids, and the text that they decode to where it differs.
  struct Case: Decodable {
    let text: String
    let ids: [Int32]
    let decoded: String

    init(from decoder: any Decoder) throws {
      var list = try decoder.unkeyedContainer()
      text = try list.decode(String.self)
      ids = try list.decode([Int32].self)
      decoded = try list.isAtEnd ? text : list.decode(String.self)
    }
  }

  static func vectors() throws -> [String: [Case]] {
    let path = TokenizerFixtures.path("kinds/vectors.json").string
    return try JSONDecoder().decode(
      [String: [Case]].self, from: Data(contentsOf: URL(filePath: path)))
  }

  static let names = [
    "gpt2", "llama3", "qwen2", "o200k", "deepseek-coder", "deepseek-v3", "starcoder", "falcon",
    "bloom", "right-to-left-digits", "byte-normalizer", "llama2", "mistral", "gemma",
    "character-bpe", "fused-bpe", "t5", "xlm", "albert", "unigram-bytes", "bert", "bert-cased",
    "words", "punctuation", "merged-previous", "merged-next", "contiguous", "inverted",
    "characters", "delimiter",
  ]

  @Test func everyKindIsTested() throws {
    #expect(Set(try Self.vectors().keys) == Set(Self.names))
  }

  @Test(arguments: names)
  func likeTheReference(name: String) throws {
    let tokenizer = try TokenizerFixtures.huggingFace("kinds/\(name)")
    try tokenizer.selfCheck()
    let cases = try #require(try Self.vectors()[name])
    #expect(cases.count >= 90)
    for one in cases {
      let ids = tokenizer.encode(one.text)
      #expect(ids == one.ids, "\(one.text.debugDescription)")
      // As bytes: String's == would forgive changed combining marks.
      let decoded = tokenizer.decode(one.ids)
      #expect(Array(decoded.utf8) == Array(one.decoded.utf8), "\(one.text.debugDescription)")
      var stream = tokenizer.streamDecoder()
      let parts = one.ids.map { stream.append($0) }.joined() + stream.finish()
      #expect(Array(parts.utf8) == Array(decoded.utf8))
    }
  }

  @Test(arguments: names)
  func storedFormKeepsEverything(name: String) throws {
    let tokenizer = try TokenizerFixtures.huggingFace("kinds/\(name)")
    let reread = try Tokenizer(serialized: tokenizer.serialized())
    try reread.selfCheck()
    #expect(reread.serialized() == tokenizer.serialized())
    for one in try #require(try Self.vectors()[name]).prefix(40) {
      #expect(reread.encode(one.text) == one.ids)
    }
  }

  /// Linear time: each of these would take minutes if any step were quadratic.
  @Test(arguments: names)
  func aMegabyteOfOneCharacter(name: String) throws {
    let tokenizer = try TokenizerFixtures.huggingFace("kinds/\(name)")
    for character in ["a", " ", "1", "\n", "é", "\u{301}", "日", "'"] {
      let count = character == "a" ? 1_000_000 : 300_000
      let text = String(repeating: character, count: count)
      #expect(tokenizer.encode(text).count < 1_300_000)
    }
  }
}
