import EmberTestSupport
import EmberTokenizer
import Foundation
import Testing

/// The expression engine, through a tokenizer of words that every text is split for.
@Suite struct ExpressionTests {
  /// The parts of a text: each character is a piece of one token's text, so a word of the parts that
  /// are asked about is known by its id.
  static func parts(_ expression: String, _ text: String, _ words: [String]) throws -> [String] {
    var vocabulary = ["<unk>": 0]
    for word in words where vocabulary[word] == nil { vocabulary[word] = vocabulary.count }
    let json: [String: Any] = [
      "model": ["type": "WordLevel", "vocab": vocabulary, "unk_token": "<unk>"],
      "pre_tokenizer": [
        "type": "Split", "pattern": ["Regex": expression], "behavior": "Isolated", "invert": false,
      ],
    ]
    let data = Array(try JSONSerialization.data(withJSONObject: json))
    return try TokenizerFixtures.withFile(data) { path in
      let tokenizer = try Tokenizer.huggingFace(
        tokenizerJSON: path, beginOfSequence: nil, endOfSequence: nil)
      return tokenizer.encode(text).map { String(decoding: tokenizer.bytes(of: $0), as: UTF8.self) }
        .map { $0.hasPrefix(" ") ? String($0.dropFirst()) : $0 }
    }
  }

  @Test(arguments: [
    ("a+", "baab", ["b", "aa", "b"]), ("a+?", "aab", ["a", "a", "b"]),
    ("a*?b", "aab", ["aab"]), ("(?:ab|a)c?", "abac", ["ab", "ac"]),
    ("(?>a|ab)c", "abc", ["abc"]), ("a++b", "aab", ["aab"]), ("a++ab|a", "aab", ["a", "a", "b"]),
    ("x{2}", "xxx", ["xx", "x"]), ("x{2,}", "xxxy", ["xxx", "y"]),
    ("x{,2}y", "xxxy", ["x", "xxy"]),
    ("(?i:AB)c", "abcABcABC", ["abc", "ABc", "ABC"]), ("(?i)k", "K", ["K"]),
    ("a(?=b)", "abac", ["a", "bac"]), ("a(?!b)", "abac", ["ab", "a", "c"]),
    ("(?<=a)b", "abcb", ["a", "b", "cb"]), ("(?<!a)b", "abcb", ["abc", "b"]),
    ("^b", "b\nb", ["b", "\n", "b"]), ("b$", "b\nb", ["b", "\n", "b"]),
    (#"\Ab"#, "bb", ["b", "b"]), (#"b\z"#, "bb", ["b", "b"]),
    (#"\bb"#, "ab b", ["ab ", "b"]), ("[^a-c]", "adb", ["a", "d", "b"]),
    (#"[\d\-]+"#, "a1-2", ["a", "1-2"]), (#"\p{Lu}\P{Lu}"#, "aBc", ["a", "Bc"]),
    (#"[\p{Han}]+"#, "a日本b", ["a", "日本", "b"]), (#"[^\S\n]"#, "a b\n", ["a", " ", "b\n"]),
    (#"\x41|\u0042|\x{43}"#, "ABCD", ["A", "B", "C", "D"]), ("(?=b)", "abab", ["a", "ba", "b"]),
    ("(?m:.)x", "\nx", ["\nx"]), (".x", "\nx", ["\nx"]),
  ])
  func splitsAsOnigurumaDoes(expression: String, text: String, expected: [String]) throws {
    #expect(try Self.parts(expression, text, expected) == expected)
  }

  @Test(arguments: [
    ("(a", "a group without its ')'"), ("a)", "an unmatched ')'"), ("[a", "a set without its ']'"),
    ("*a", "a quantifier with nothing before it"), ("a{2,1}", "an interval that falls"),
    ("a{5000}", "a repetition above 1000"),
    ("(a*)*", "a repetition of something that may be empty"),
    (#"\k<a>"#, #"the escape '\k'"#), (#"(a)\1"#, #"the escape '\1'"#),
    ("(?<n>a)", "an unknown kind"),
    ("(?<=ab)c", "a lookbehind of more than one character"), (#"\p{Klingon}"#, "'Klingon'"),
    ("[[:alpha:]]", "a POSIX bracket"), ("[a&&b]", "an intersection"), (#"\xZZ"#, "hexadecimal"),
    ("((((((((((((((((((((((((((a))))))))))))))))))))))))))", "nested deeper"),
    ("((((a{1000}){1000}){1000}){1000})", "too large"), ("a\\", "a lone '\\' at the end"),
    ("(?#c)", "a comment"),
  ])
  func refusesByName(expression: String, reason: String) {
    let message = ImportErrorTests.message {
      _ = try Self.parts(expression, "", [])
      return try TokenizerFixtures.huggingFace("plain")
    }
    #expect(message.contains(reason), "\(message)")
    #expect(message.contains("pre_tokenizer.pattern.Regex"))
  }

  /// Each takes exponential or quadratic time in a plain backtracking engine.
  @Test(arguments: [
    "(a+)+b", "(a|aa)+b", "a*b", "(?:a|b|ab)*c", "a*?b|c", "(?=a*b)c", "(a{1,9}){1,9}b",
  ])
  func hostileExpressionsTakeLinearTime(expression: String) throws {
    let text = String(repeating: "a", count: 60_000)
    #expect(try Self.parts(expression, text, [text]) == [text])
  }
}
