import EmberTokenizer
import Testing

@Suite struct DecodingTests {
  @Test func streamEqualsBatch() throws {
    let tokenizer = try TokenizerFixtures.huggingFace("plain")
    let text = "naïve 日本語 👩\u{200D}👩\u{200D}👧 Привет e\u{301} \u{10FFFF}"
    let ids = tokenizer.encode(text)
    #expect(ids.count > text.count)
    var stream = tokenizer.streamDecoder()
    var streamed = ""
    for id in ids {
      let part = stream.append(id)
      #expect(!part.unicodeScalars.contains("\u{FFFD}"))
      streamed += part
    }
    streamed += stream.finish()
    #expect(streamed == text)
    #expect(tokenizer.decode(ids) == text)
  }

  /// Any bytes, in any order: the stream's parts are what Swift decodes at once.
  @Test(arguments: 0..<200)
  func streamEqualsBatchOnBrokenText(seed: Int) throws {
    let tokenizer = try TokenizerFixtures.llama2c(TokenizerFixtures.smallScored)
    var random = Random(seed: UInt64(seed))
    let leads: [UInt8] = [
      0x41, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc1, 0xc2, 0xe0, 0xe2, 0xed, 0xf0, 0xf1, 0xf4,
      0xf5, 0xff,
    ]
    let bytes = (0..<50).map { _ in leads[Int(random.next() % UInt64(leads.count))] }
    let ids = bytes.map { Int32($0) + 3 }
    let expected = String(decoding: bytes, as: UTF8.self)
    #expect(tokenizer.decode(ids) == expected)
    var stream = tokenizer.streamDecoder()
    let streamed = ids.map { stream.append($0) }.joined() + stream.finish()
    #expect(Array(streamed.utf8) == Array(expected.utf8))
  }

  @Test func holdsBackNoMoreThanItMust() throws {
    let tokenizer = try TokenizerFixtures.llama2c(TokenizerFixtures.smallScored)
    var stream = tokenizer.streamDecoder()
    #expect(stream.append(0xe6 + 3) == "")
    #expect(stream.append(0x97 + 3) == "")
    #expect(stream.append(0xa5 + 3) == "日")
    // 0xE6 can begin a character until something follows that cannot continue it.
    #expect(stream.append(0xe6 + 3) == "")
    #expect(stream.append(0x41 + 3) == "\u{FFFD}A")
    // 0xFF never can.
    #expect(stream.append(0xff + 3) == "\u{FFFD}")
    #expect(stream.append(0xf0 + 3) == "")
    #expect(stream.finish() == "\u{FFFD}")
    #expect(stream.finish() == "")
  }

  @Test func controlTokensAreNotPrinted() throws {
    let tokenizer = try TokenizerFixtures.huggingFace("options")
    #expect(tokenizer.decode([503, 0]) == "")
    // The space before the mask belongs to the token (lstrip), the one behind it is added.
    #expect(tokenizer.decode(tokenizer.encode("a <mask>b")) == " a<mask> b")
  }

  @Test(arguments: [-1, 508, 99999, .min, .max] as [Int32])
  func idsOutOfRange(id: Int32) throws {
    let tokenizer = try TokenizerFixtures.huggingFace("options")
    #expect(tokenizer.piece(id) == "<unknown id \(id)>")
    #expect(tokenizer.bytes(of: id) == [])
    #expect(tokenizer.decode([id]) == "")
    #expect(!tokenizer.isSpecial(id))
    var stream = tokenizer.streamDecoder(after: id)
    #expect(stream.append(id) == "")
  }

  @Test func piecesArePrintable() throws {
    let tokenizer = try TokenizerFixtures.huggingFace("plain")
    let newline = try #require(tokenizer.encode("\n").first)
    #expect(tokenizer.piece(newline) == "<0x0A>")
    let bytes = tokenizer.encode("\u{3FF}").map { tokenizer.piece($0) }
    #expect(bytes == ["<0xCF>", "<0xBF>"])
    let word = try #require(tokenizer.encode(" and").first)
    #expect(tokenizer.piece(word) == " and")
  }
}
