import EmberTokenizer
import Testing

/// The scored BPE against a plain transcription of llama2.c's `encode`, on random vocabularies.
@Suite struct Llama2cTests {
  /// run.c as it stands: whole text, every neighbour looked up again after every merge.
  struct RunC {
    let pieces: [(score: Float, text: [UInt8])]
    let hasBytes: Bool

    func find(_ text: [UInt8]) -> Int? { pieces.firstIndex { $0.text == text } }

    func encode(_ text: String) -> [Int32] {
      var tokens: [Int] = []
      for character in (text.isEmpty ? "" : " " + text).unicodeScalars {
        let bytes = Array(String(character).utf8)
        if let id = find(bytes) {
          tokens.append(id)
        } else if hasBytes {
          tokens += bytes.map { Int($0) + 3 }
        } else {
          tokens.append(0)
        }
      }
      while true {
        var best: (score: Float, id: Int, index: Int)?
        for index in tokens.indices.dropLast() {
          let joined = pieces[tokens[index]].text + pieces[tokens[index + 1]].text
          if let id = find(joined), pieces[id].score > (best?.score ?? -1e10) {
            best = (pieces[id].score, id, index)
          }
        }
        guard let best else { return tokens.map(Int32.init) }
        tokens[best.index] = best.id
        tokens.remove(at: best.index + 1)
      }
    }
  }

  @Test(arguments: 0..<60)
  func encodesLikeRunC(seed: Int) throws {
    var random = Random(seed: UInt64(seed))
    let alphabet = ["a", "b", "é", " ", "日"]
    let hasBytes = seed % 2 == 0
    var pieces = TokenizerFixtures.controlPieces + (hasBytes ? TokenizerFixtures.bytePieces : [])
    for letter in alphabet where random.next() % 8 != 0 {
      pieces.append((-Float(random.next() % 9), Array(letter.utf8)))
    }
    for _ in 0..<40 {
      var text = (0..<Int(2 + random.next() % 3)).map { _ in
        alphabet[Int(random.next() % 5)]
      }.joined()
      // Half of the vocabularies can be split before spaces, as real ones can.
      if seed % 4 < 2 {
        let spaces = text.prefix { $0 == " " }
        text = spaces + text.filter { $0 != " " }
      }
      // Equal scores, equal pieces and scores that never merge are all in it.
      let scores: [Float] = [-1, -2, -3, -3, -1e9, -1e10, .nan, 0.5]
      pieces.append((scores[Int(random.next() % 8)], Array(text.utf8)))
    }
    let tokenizer = try TokenizerFixtures.llama2c(pieces)
    let reference = RunC(pieces: pieces, hasBytes: hasBytes)
    for length in 0..<60 {
      let text = (0..<length).map { _ in (alphabet + ["x", "\n"])[Int(random.next() % 7)] }.joined()
      let expected = reference.encode(text)
      #expect(tokenizer.encode(text, addingBeginOfSequence: false) == expected, "\(text)")
      #expect(tokenizer.encode(text) == [1] + expected)
    }
  }

  @Test func bytesStandInForUnknownCharacters() throws {
    let tokenizer = try TokenizerFixtures.llama2c(TokenizerFixtures.smallScored)
    let ids = tokenizer.encode("the\n\u{0}ü")
    #expect(ids == [1, 261, 13, 3, 0xc3 + 3, 0xbc + 3])
    #expect(tokenizer.decode(ids) == "the\n\u{0}ü")
    #expect(tokenizer.bytes(of: 13) == [10])
    #expect(tokenizer.piece(13) == "<0x0A>")
    #expect(tokenizer.piece(1) == "<s>")
    #expect(tokenizer.isSpecial(1) && tokenizer.isSpecial(2) && !tokenizer.isSpecial(0))
    #expect(tokenizer.beginOfSequence == 1 && tokenizer.endOfSequence == 2)
    #expect(tokenizer.addsBeginOfSequence)
    #expect(tokenizer.encode("") == [1])
  }

  @Test func unknownStandsInWhereThereAreNoBytes() throws {
    let pieces =
      TokenizerFixtures.controlPieces + [" ", "a", "b"].map { (Float(-1), Array($0.utf8)) }
    let tokenizer = try TokenizerFixtures.llama2c(pieces)
    #expect(tokenizer.kindDescription == "scored BPE without byte fallback, 6 tokens")
    #expect(tokenizer.encode("a\nb日") == [1, 3, 4, 0, 5, 0])
  }

  @Test func leadingSpaceIsStrippedOnlyAfterTheBeginning() throws {
    let tokenizer = try TokenizerFixtures.llama2c(TokenizerFixtures.smallScored)
    let the = tokenizer.encode("the", addingBeginOfSequence: false)
    #expect(tokenizer.decode([1] + the) == "the")
    #expect(tokenizer.decode(the) == " the")
    #expect(tokenizer.decode([1] + the + the + [2]) == "the the")
    var stream = tokenizer.streamDecoder(after: 1)
    #expect(the.map { stream.append($0) }.joined() == "the")
  }

  @Test func oneLetterForAMegabyte() throws {
    let pieces =
      TokenizerFixtures.smallScored
      + (2..<30).map { (Float(-$0), [UInt8](repeating: UInt8(ascii: "a"), count: $0)) }
    let tokenizer = try TokenizerFixtures.llama2c(pieces)
    let text = String(repeating: "a", count: 1_000_000)
    #expect(tokenizer.decode(tokenizer.encode(text)) == text)
    let byteLevel = try TokenizerFixtures.huggingFace("plain")
    #expect(byteLevel.decode(byteLevel.encode(text)) == text)
    let spaces = String(repeating: " ", count: 1_000_000)
    #expect(byteLevel.decode(byteLevel.encode(spaces)) == spaces)
    #expect(tokenizer.decode(tokenizer.encode(spaces)) == spaces)
  }
}

/// SplitMix64: the same numbers everywhere.
struct Random {
  private var state: UInt64
  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state = state &+ 0x9e37_79b9_7f4a_7c15
    var word = state
    word = (word ^ word >> 30) &* 0xbf58_476d_1ce4_e5b9
    word = (word ^ word >> 27) &* 0x94d0_49bb_1331_11eb
    return word ^ word >> 31
  }
}
