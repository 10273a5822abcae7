import EmberTestSupport
import EmberTokenizer
import Foundation
import SystemPackage
import Testing

/// Files made to crash, hang or fill the memory: a clear error each.
@Suite struct HostileFileTests {
  static func sentencePiece(_ bytes: [UInt8]) -> String {
    ImportErrorTests.message {
      try TokenizerFixtures.withFile(bytes) { try Tokenizer.sentencePiece(contentsOf: $0) }
    }
  }

  static func tiktoken(_ text: String) -> String {
    ImportErrorTests.message {
      try TokenizerFixtures.withFile(Array(text.utf8)) {
        try Tokenizer.tiktoken(contentsOf: $0, expression: .cl100k)
      }
    }
  }

  /// A message of one field.
  static func field(_ number: UInt8, _ body: [UInt8]) -> [UInt8] {
    var count = body.count
    var length: [UInt8] = []
    while count >= 0x80 {
      length.append(UInt8(count & 0x7f) | 0x80)
      count >>= 7
    }
    return [number << 3 | 2] + length + [UInt8(count)] + body
  }

  static func piece(_ text: String, score: Float = 0, type: UInt8 = 1) -> [UInt8] {
    let bits = (0..<4).map { UInt8(truncatingIfNeeded: score.bitPattern >> (8 * $0)) }
    return field(1, field(1, Array(text.utf8)) + [0x15] + bits + [0x18, type])
  }

  /// A BPE model of a few pieces.
  static let small: [UInt8] =
    piece("<unk>", type: 2) + piece("<s>", type: 3) + piece("</s>", type: 3) + piece("▁")
    + piece("a", score: -1) + piece("b", score: -2) + piece("ab", score: -3)
    + piece("▁ab", score: -4) + piece("ba", score: -5, type: 4) + field(2, [0x18, 2])

  @Test func aSmallModelWorks() throws {
    let tokenizer = try TokenizerFixtures.withFile(Self.small) {
      try Tokenizer.sentencePiece(contentsOf: $0)
    }
    #expect(tokenizer.encode("ab ab") == [1, 7, 7])
    #expect(tokenizer.encode("bab") == [1, 3, 8, 5])
    #expect(tokenizer.encode("xyab") == [1, 3, 0, 6])
    #expect(tokenizer.decode([1, 7, 7, 8]) == "ab abba")
    #expect(tokenizer.kindDescription == "scored BPE without byte fallback, 9 tokens")
  }

  @Test func everyTruncationIsAnErrorOrASmallerModel() throws {
    for count in 0..<Self.small.count {
      let bytes = Array(Self.small[..<count])
      _ = Self.sentencePiece(bytes)
    }
    var random = Random(seed: 11)
    for _ in 0..<3000 {
      var bytes = Self.small
      for _ in 0..<(1 + random.next() % 4) {
        bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next())
      }
      _ = Self.sentencePiece(bytes)
    }
  }

  @Test func protocolBufferLies() {
    let maximum: [UInt8] = Array(repeating: 0xff, count: 9) + [0x01]
    #expect(Self.sentencePiece([]).contains("expected a SentencePiece model with pieces"))
    #expect(Self.sentencePiece([0x0a] + maximum).contains("a length of at most 0"))
    #expect(Self.sentencePiece([0x0a, 0x85]).contains("expected a number, found \"the end\""))
    #expect(Self.sentencePiece(Array(repeating: 0xff, count: 40)).contains("at most 10 bytes"))
    #expect(Self.sentencePiece([0x0b]).contains("wire type"))
    #expect(Self.sentencePiece([0x15, 1]).contains("expected 4 bytes"))
    #expect(Self.sentencePiece([0x11, 1]).contains("expected 8 bytes"))
    #expect(Self.sentencePiece(Self.field(1, [])).contains("UTF-8 text, not empty"))
    #expect(Self.sentencePiece(Self.piece("a", type: 9)).contains("expected 1 to 6"))
    #expect(Self.sentencePiece(Self.piece("a") + Self.piece("a")).contains("two ids, 0 and 1"))
    #expect(
      Self.sentencePiece(Self.piece("a") + Self.field(2, [0x18, 4])).contains("trainer_spec"))
    // A character map whose array claims more than there is.
    let map = Self.field(3, Self.field(2, [0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0]))
    #expect(Self.sentencePiece(Self.small + map).contains("a character map"))
  }

  /// A character map may hold any array: it leads nowhere outside of itself.
  @Test func randomCharacterMaps() throws {
    var random = Random(seed: 3)
    for _ in 0..<200 {
      let units = (0..<256).flatMap { _ in
        (0..<4).map { _ in UInt8(truncatingIfNeeded: random.next()) }
      }
      let blob: [UInt8] = [0, 4, 0, 0] + units + Array("abc\u{0}日本\u{0}x".utf8)
      let bytes = Self.small + Self.field(3, Self.field(2, blob))
      let tokenizer = try TokenizerFixtures.withFile(bytes) {
        try Tokenizer.sentencePiece(contentsOf: $0)
      }
      _ = tokenizer.encode("Hello wörld 日本 \u{1F600}\n" + String(repeating: "ab", count: 50))
    }
  }

  @Test func ranksThatAreNone() {
    #expect(Self.tiktoken("").contains("lines of a token and its rank"))
    #expect(Self.tiktoken("YQ== 0\nYg==\n").contains("line 2: expected a token in base 64"))
    #expect(Self.tiktoken("YQ== 0\n!!!! 1\n").contains("line 2"))
    #expect(Self.tiktoken("YQ== -1\n").contains("line 1"))
    #expect(Self.tiktoken("YQ== 99999999999999999999\n").contains("line 1"))
    #expect(Self.tiktoken("YQ== 4000000\n").contains("has id 4000000"))
    #expect(Self.tiktoken("YQ== 0\nYg== 0\n").contains("id 0 belongs to both"))
    #expect(Self.tiktoken("YQ== 0\nYQ== 1\n").contains("two ids"))
  }

  @Test func vocabulariesThatLie() throws {
    func message(_ change: (inout GGUFVocabulary) -> Void) -> String {
      var vocabulary = GGUFVocabulary(model: "llama", tokens: [Array("a".utf8), Array("▁".utf8)])
      vocabulary.scores = [0, 0]
      vocabulary.beginOfSequence = 0
      vocabulary.endOfSequence = 1
      change(&vocabulary)
      return ImportErrorTests.message { try Tokenizer.gguf(vocabulary, path: "file") }
    }
    #expect(message { _ in } == "no error")
    #expect(message { $0.tokens = [] }.contains("vocabulary size is 0"))
    #expect(message { $0.scores = [1] }.contains("scores: expected 2"))
    #expect(message { $0.tokenTypes = [1] }.contains("token_type: expected 2"))
    #expect(message { $0.beginOfSequence = 7 }.contains("id is 7"))
    #expect(message { $0.beginOfSequence = -7 }.contains("id is -7"))
    #expect(message { $0.tokenTypes = [.min, .max] } == "no error")
    #expect(message { $0.model = "rwkv" }.contains("\"rwkv\" is not supported"))
    #expect(
      message {
        $0.model = "gpt2"
        $0.preTokenizer = "new"
      }.contains("ggml.pre: \"new\""))
    #expect(
      message {
        $0.model = "gpt2"
        $0.merges = [[0x61]]
      }.contains("a space between"))
    #expect(
      message {
        $0.model = "gpt2"
        $0.merges = [Array("a b".utf8)]
      }.contains("needs the token"))
    #expect(message { $0.model = "bert" }.contains("unknown-token id is 100"))
    #expect(message { $0.tokens[0] = [0xff] } == "no error")
  }

  /// Steps of a stored form that no writer makes.
  @Test func damagedSteps() throws {
    for name in ["t5", "bert", "llama3", "unigram-bytes", "falcon", "albert"] {
      let form = try TokenizerFixtures.huggingFace("kinds/\(name)").serialized()
      var random = Random(seed: 17)
      var accepted = 0
      for _ in 0..<400 {
        var changed = form
        for _ in 0..<(1 + random.next() % 3) {
          let index = 80 + Int(random.next() % UInt64(changed.count - 80))
          changed[index] = UInt8(truncatingIfNeeded: random.next())
        }
        if let tokenizer = try? Tokenizer(serialized: changed) {
          accepted += 1
          StoredFormTests.exercise(tokenizer)
        }
      }
      #expect(accepted > 0)
    }
  }
}
