import EmberTestSupport
import EmberTokenizer
import Foundation
import SystemPackage
import Testing

/// Every broken or unsupported input: an error that says what is the matter, on one line.
@Suite struct ImportErrorTests {
  static func message(_ body: () throws -> Tokenizer) -> String {
    do {
      _ = try body()
      return "no error"
    } catch {
      let text = "\(error)"
      #expect(error is TokenizerError)
      #expect(!text.contains("\n"))
      return text
    }
  }

  static func json(_ text: String) -> String {
    message {
      try TokenizerFixtures.withFile(Array(text.utf8)) { path in
        try Tokenizer.huggingFace(tokenizerJSON: path, beginOfSequence: nil, endOfSequence: nil)
      }
    }
  }

  static func changed(
    begin: Int? = nil, end: Int? = nil, _ change: (inout [String: Any]) -> Void
  ) -> String {
    message { try TokenizerFixtures.huggingFace("plain", begin: begin, end: end, changing: change) }
  }

  static func model(_ key: String, _ value: Any) -> String {
    changed { json in
      var model = json["model"] as? [String: Any] ?? [:]
      model[key] = value
      json["model"] = model
    }
  }

  @Test func unreadableFiles() throws {
    for path in ["/nonexistent/tokenizer.json", "/"] {
      let text = Self.message {
        try Tokenizer.huggingFace(
          tokenizerJSON: FilePath(path), beginOfSequence: nil, endOfSequence: nil)
      }
      #expect(text.hasPrefix("cannot read the tokenizer \(path): "))
    }
  }

  @Test(arguments: [
    ("", "byte 0: the text ends early"), ("{", "byte 1: the text ends early"),
    ("[1,]", "byte 3: expected a value"), ("{\"a\":1,}", "byte 7: expected a string"),
    ("01", "expected a value"), ("+1", "expected a value"), ("1.", "expected a value"),
    (".5", "expected a value"), ("1e", "expected a value"), ("-", "expected a value"),
    ("NaN", "expected a value"), ("-Infinity", "expected a value"),
    ("\"\\udc00\\ud800\"", "half a surrogate pair"),
    ("\"\\ud800\"", "half a surrogate pair"), ("\"\\x\"", "an unknown escape"),
    ("\"a\nb\"", "a control character inside a string"), ("1 2", "something follows the value"),
    ("nul", "expected a value"), ("\"abc", "the text ends inside a string"),
    ("1e999", "expected a value"), (String(repeating: "[", count: 100_000), "nested deeper"),
    ("7", "model: expected an object, found \"null\""),
  ])
  func brokenJSON(text: String, expected: String) {
    #expect(Self.json(text).contains(expected))
  }

  @Test func notUTF8() throws {
    let text = Self.message {
      try TokenizerFixtures.withFile([0x22, 0xff, 0x22]) { path in
        try Tokenizer.huggingFace(tokenizerJSON: path, beginOfSequence: nil, endOfSequence: nil)
      }
    }
    #expect(text.contains("not UTF-8"))
  }

  @Test func unsupportedPartsAreNamed() {
    #expect(
      Self.model("type", "Magic").hasSuffix(
        "model.type: \"Magic\" is not supported; supported: BPE, Unigram, WordPiece, WordLevel"))
    #expect(
      Self.changed { $0["normalizer"] = ["type": "Magic"] }
        .contains("normalizer: \"Magic\" is not supported; supported: Lowercase, NFC"))
    #expect(
      Self.changed { $0["pre_tokenizer"] = ["type": "UnicodeScripts"] }
        .contains("pre_tokenizer: \"UnicodeScripts\" is not supported; supported: Bert"))
    #expect(
      Self.changed {
        $0["pre_tokenizer"] = [
          "type": "Sequence", "pretokenizers": [["type": "ByteLevel"], ["type": "Whitespace"]],
        ]
      }.contains("\"Whitespace behind ByteLevel\" is not supported"))
    #expect(
      Self.changed { $0["pre_tokenizer"] = ["type": "Split"] }.contains("a String or a Regex"))
    #expect(Self.changed { $0["decoder"] = ["type": "CTC"] }.contains("\"CTC\""))
    #expect(
      Self.changed { $0["post_processor"] = ["type": "BertProcessing"] }
        .contains("post_processor.cls: expected a pair of a token and an id"))
    #expect(Self.changed { $0["post_processor"] = ["type": "Magic"] }.contains("\"Magic\""))
    #expect(Self.model("byte_fallback", true).contains("model.byte_fallback"))
    #expect(Self.model("dropout", 0.1).contains("model.dropout"))
    #expect(Self.model("end_of_word_suffix", "</w>").contains("\"</w>\" is not supported"))
    #expect(Self.model("continuing_subword_prefix", "##").contains("\"##\" is not supported"))
    #expect(Self.model("type", "Unigram").contains("\"Unigram with ByteLevel\""))
    #expect(
      Self.changed { $0["normalizer"] = ["type": "Precompiled", "precompiled_charsmap": "!"] }
        .contains("precompiled_charsmap: expected base 64"))
    #expect(
      Self.changed { $0["normalizer"] = ["type": "Precompiled", "precompiled_charsmap": "AAAA"] }
        .contains("supported: a character map"))
  }

  @Test func contradictoryTables() {
    #expect(Self.model("merges", [["q", "zzz"]]).contains("merge 0 needs the token \"zzz\""))
    #expect(Self.model("merges", ["a b c"]).contains("expected two tokens with a space between"))
    #expect(Self.model("merges", [7]).contains("model.merges: expected strings or pairs"))
    #expect(Self.model("merges", [["a", "b", "c"]]).contains("expected a pair of strings"))
    #expect(Self.model("vocab", ["a": 0, "b": 0]).contains("id 0 belongs to both"))
    #expect(Self.model("vocab", ["a": -1]).contains("has id -1, expected 0 to"))
    #expect(Self.model("vocab", ["a": 2_000_000_000]).contains("has id 2000000000"))
    #expect(Self.model("vocab", ["a": "b"]).contains("an integer id for each piece"))
    #expect(Self.model("vocab", 7).contains("model.vocab: expected an object"))
    #expect(Self.model("unk_token", "<nix>").contains("expected a piece of the vocabulary"))
    #expect(
      Self.changed { $0["added_tokens"] = [["id": 3, "content": "<x>"]] }
        .contains("id 3 belongs to both"))
    #expect(
      Self.changed { $0["added_tokens"] = [["id": 700, "content": "a"]] }
        .contains("the piece \"a\" has two ids"))
    #expect(Self.changed { $0["added_tokens"] = 7 }.contains("added_tokens: expected an array"))
    #expect(
      Self.changed(begin: 500) { _ in }.hasSuffix(
        "the beginning-of-sequence id is 500, expected 0 to 499"))
    #expect(Self.changed(end: -2) { _ in }.contains("the end-of-sequence id is -2"))
    #expect(
      Self.json(
        """
        {"model":{"type":"BPE","vocab":{"a":0,"a":1},"merges":[]},
        "pre_tokenizer":{"type":"ByteLevel"}}
        """
      ).contains("the piece \"a\" has two ids, 0 and 1"))
    #expect(
      Self.json(
        """
        {"model":{"type":"BPE","vocab":{},"merges":[]},"pre_tokenizer":{"type":"ByteLevel"}}
        """
      ).contains("model.vocab: expected at least one piece"))
  }

  static func llama2c(_ bytes: [UInt8], _ size: Int) -> String {
    message {
      try TokenizerFixtures.withFile(bytes) { path in
        try Tokenizer.llama2c(contentsOf: path, vocabularySize: size)
      }
    }
  }

  @Test func brokenTokenizerBin() {
    let bytes = TokenizerFixtures.llama2cBytes(TokenizerFixtures.smallScored)
    let size = TokenizerFixtures.smallScored.count
    #expect(Self.llama2c(bytes, size) == "no error")
    #expect(Self.llama2c(bytes, size + 1).contains("ends inside token \(size) of \(size + 1)"))
    #expect(Self.llama2c(bytes, size - 1).contains("bytes follow the model's \(size - 1) tokens"))
    #expect(Self.llama2c(bytes, 0).contains("vocabulary size is 0"))
    #expect(Self.llama2c(bytes, -5).contains("vocabulary size is -5"))
    #expect(Self.llama2c(bytes, .max).contains("vocabulary size is"))
    #expect(Self.llama2c([], size).contains("ends inside token 0"))
    for count in 0..<bytes.count {
      #expect(Self.llama2c(Array(bytes[..<count]), size).contains("ends inside token"))
    }
    var long = bytes
    long.replaceSubrange(8..<12, with: [0xff, 0xff, 0xff, 0x7f])
    #expect(Self.llama2c(long, size).contains("token 0 claims 2147483647 bytes"))
    long.replaceSubrange(8..<12, with: [0xff, 0xff, 0xff, 0xff])
    #expect(Self.llama2c(long, size).contains("token 0 claims -1 bytes"))
  }
}
