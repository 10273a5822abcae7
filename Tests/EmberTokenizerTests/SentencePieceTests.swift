import EmberTestSupport
import EmberTokenizer
import Foundation
import SystemPackage
import Testing

/// `tokenizer.model` files against the `sentencepiece` library
/// (tools/fixtures/make_tokenizer_sentencepiece.py).
@Suite struct SentencePieceTests {
  struct Case: Decodable {
    let text: String
    let ids: [Int32]
    /// nil where the library writes a sign for what is unknown.
    let decoded: String?

    init(from decoder: any Decoder) throws {
      var list = try decoder.unkeyedContainer()
      text = try list.decode(String.self)
      ids = try list.decode([Int32].self)
      decoded = try list.decodeIfPresent(String.self)
    }
  }

  @Test(arguments: [
    "llama", "symbols", "suffix", "unigram", "unigram-rules", "unigram-symbols", "unigram-bytes",
  ])
  func likeTheReference(name: String) throws {
    let folder = TokenizerFixtures.path("sentencepiece/vectors.json").removingLastComponent()
    let vectors = try JSONDecoder().decode(
      [String: [Case]].self,
      from: Data(contentsOf: URL(filePath: folder.appending("vectors.json").string)))
    let tokenizer = try Tokenizer.sentencePiece(contentsOf: folder.appending("\(name).model"))
    try tokenizer.selfCheck()
    let cases = try #require(vectors[name])
    #expect(cases.count >= 90)
    for one in cases {
      #expect(tokenizer.encode(one.text) == one.ids, "\(one.text.debugDescription)")
      if let decoded = one.decoded {
        #expect(Array(tokenizer.decode(one.ids).utf8) == Array(decoded.utf8))
      }
    }
    let reread = try Tokenizer(serialized: tokenizer.serialized())
    for one in cases.prefix(40) { #expect(reread.encode(one.text) == one.ids) }
  }
}
