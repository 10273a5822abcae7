import EmberTestSupport
import EmberTokenizer
import Foundation
import Testing

/// Byte-level BPE against Hugging Face's `tokenizers`, on vectors that the repository ships
/// (tools/fixtures/make_tokenizer_vectors.py).
@Suite struct FixtureTests {
  struct Case: Decodable {
    let text: String
    /// As the file's post-processor wants them.
    let ids: [Int32]
    /// Without what the post-processor adds, where that differs.
    let bare: [Int32]?
    /// With special tokens in the text taken literally, where that differs from `bare`.
    let literal: [Int32]?
  }

  static func vectors() throws -> [String: [Case]] {
    let path = TokenizerFixtures.path("vectors.json").string
    return try JSONDecoder().decode(
      [String: [Case]].self, from: Data(contentsOf: URL(filePath: path)))
  }

  @Test(arguments: ["plain", "options", "unknown", "fused-unknown"])
  func encodesLikeTheReference(name: String) throws {
    let tokenizer = try TokenizerFixtures.huggingFace(name)
    try tokenizer.selfCheck()
    let cases = try #require(try Self.vectors()[name])
    #expect(cases.count >= 60)
    for one in cases {
      #expect(tokenizer.encode(one.text) == one.ids)
      let bare = one.bare ?? one.ids
      #expect(tokenizer.encode(one.text, addingBeginOfSequence: false) == bare)
      let literal = tokenizer.encode(
        one.text, addingBeginOfSequence: false, parsingSpecialTokens: false)
      #expect(literal == one.literal ?? bare)
    }
  }

  @Test func decodesWhatItEncoded() throws {
    let tokenizer = try TokenizerFixtures.huggingFace("plain")
    for one in try #require(try Self.vectors()["plain"]) {
      let ids = tokenizer.encode(one.text, parsingSpecialTokens: false)
      // Compared as bytes: String's == would forgive changed combining marks.
      #expect(Array(tokenizer.decode(ids).utf8) == Array(one.text.utf8))
    }
  }

  @Test func roundTripsEveryCharacter() throws {
    let tokenizer = try TokenizerFixtures.huggingFace("plain")
    var text = ""
    for point in UInt32(0)...0x10ffff {
      if let scalar = Unicode.Scalar(point) { text.unicodeScalars.append(scalar) }
    }
    let ids = tokenizer.encode(text, parsingSpecialTokens: false)
    #expect(tokenizer.decode(ids).utf8.elementsEqual(text.utf8))
  }

  @Test func describesItself() throws {
    let tokenizer = try TokenizerFixtures.huggingFace("options")
    #expect(tokenizer.kindDescription == "byte-level BPE, 508 tokens")
    #expect(tokenizer.vocabularySize == 508)
    #expect(tokenizer.beginOfSequence == 503)
    #expect(tokenizer.endOfSequence == nil)
    #expect(tokenizer.addsBeginOfSequence)
    #expect(tokenizer.isSpecial(503))
    #expect(!tokenizer.isSpecial(502))
    #expect(tokenizer.encode("a", addingBeginOfSequence: true).first == 503)
    #expect(!(try TokenizerFixtures.huggingFace("plain")).addsBeginOfSequence)
  }

  @Test func acceptsBothFormsOfMerges() throws {
    let pairs = try TokenizerFixtures.huggingFace("plain")
    let lines = try TokenizerFixtures.huggingFace("plain") { json in
      var model = json["model"] as? [String: Any] ?? [:]
      let merges = try #require(model["merges"] as? [[String]])
      model["merges"] = ["#version: 0.2"] + merges.map { $0.joined(separator: " ") }
      json["model"] = model
    }
    #expect(lines.serialized() == pairs.serialized())
  }

  @Test func leavesHolesInTheVocabularyEmpty() throws {
    let tokenizer = try TokenizerFixtures.huggingFace("plain", begin: 0, end: 0) { json in
      var tokens = json["added_tokens"] as? [[String: Any]] ?? []
      tokens.append(["id": 600, "content": "<far>", "special": true])
      json["added_tokens"] = tokens
    }
    #expect(tokenizer.vocabularySize == 601)
    #expect(tokenizer.encode("<far>") == [600])
    #expect(tokenizer.bytes(of: 599) == [])
    #expect(tokenizer.piece(599) == "<unused id 599>")
    #expect(tokenizer.decode([599]) == "")
    #expect(tokenizer.endOfSequence == 0)
  }
}
