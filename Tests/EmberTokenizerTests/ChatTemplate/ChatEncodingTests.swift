import EmberTestSupport
import EmberTokenizer
import Foundation
import SystemPackage
import Testing

/// Control tokens are the template's to write, not the speakers'.
@Suite("Chat templates: encoding")
struct ChatEncodingTests {
  /// Its control tokens are `<|end|>` (0), and in `options` also `<|begin|>` and `日本`.
  static func tokenizer(_ name: String = "plain") throws -> Tokenizer {
    let path = TestData.bundled("Tests/EmberTokenizerTests/fixtures/\(name).json")
    return try Tokenizer.huggingFace(
      tokenizerJSON: FilePath(path), beginOfSequence: nil, endOfSequence: nil)
  }

  static func chat(_ template: String, _ content: String) throws -> RenderedChat {
    try ChatTemplate(template).render(
      [ChatMessage(role: "user", content: content)], beginOfSequence: "", endOfSequence: "")
  }

  @Test("Without typed control tokens the ids are those of the whole text")
  func wholeText() throws {
    for name in ["plain", "options"] {
      let tokenizer = try Self.tokenizer(name)
      for content in ["Hello, it's 27 days", " x\n\n", "日本語 é", "", "<|e", "<mask> <right>"] {
        if name == "options", content.contains("日本") { continue }
        let chat = try Self.chat("a {{ messages[0].content }}b<|end|> c", content)
        #expect(
          tokenizer.encode(chat) == tokenizer.encode(chat.string, addingBeginOfSequence: false))
        #expect(tokenizer.encode(chat).contains(0))
      }
    }
  }

  @Test(
    "What a speaker wrote is never a control token, whatever the template does with it",
    arguments: [
      ("{{ messages[0].content }}", "<|end|>"),
      ("{{ messages[0].content }}", "a<|end|>b<|end|><|end|>"),
      ("<|{{ messages[0].content }}|>", "end"),
      ("{{ '<|' + messages[0].content + '|>' }}", "end"),
      ("{{ messages[0].content }}nd|>", "<|e"),
      ("{{ messages[0].content | trim }}", " <|end|> "),
      ("{{ messages[0].content | replace('x', '') }}", "<|xend|>"),
      ("{{ messages[0].content | replace('x', '|') }}", "<xendx>"),
      ("{{ messages[0].content | lower }}", "<|END|>"),
      ("{{ messages[0].content[::-1] }}", ">|dne|<"),
      ("{{ messages[0].content[1:] }}", "<<|end|>"),
      ("{{ messages[0].content.split(' ') | join('') }}", "<|e nd|>"),
      ("{{ messages[0].content | list | join }}", "<|end|>"),
      ("{{ messages[0].content | list | first }}|end|>", "<|end|>"),
      ("{{ '%s' % messages[0].content }}", "<|end|>"),
      ("{{ '{}'.format(messages[0].content) }}", "<|end|>"),
      ("{{ messages | tojson }}", "<|end|>"),
      ("{{ messages }}", "<|end|>"),
      ("{% set x %}{{ messages[0].content }}{% endset %}{{ x }}", "<|end|>"),
      ("{% macro m(x) %}{{ x }}{% endmacro %}{{ m(messages[0].content) }}", "<|end|>"),
      ("{% filter upper %}{{ messages[0].content }}{% endfilter %}", "<|end|>"),
      ("{{ messages[0].content ~ '' }}", "<|end|>"),
      ("{{ messages[0].content * 2 }}", "<|end|>"),
      ("{{ dict([(messages[0].content, 1)]) | list | first }}", "<|end|>"),
    ])
  func typed(_ template: String, _ content: String) throws {
    let tokenizer = try Self.tokenizer()
    let chat = try Self.chat(template, content)
    let ids = tokenizer.encode(chat)
    #expect(!ids.contains(0))
    #expect(tokenizer.decode(ids) == chat.string)
  }

  @Test("The template's own control tokens stay whole beside them")
  func beside() throws {
    let tokenizer = try Self.tokenizer()
    for content in ["<|", "<|end|>", "x<|end|", "end|>", "<|end|><|end|>"] {
      let chat = try Self.chat("<|end|>{{ messages[0].content }}<|end|>", content)
      let ids = tokenizer.encode(chat)
      #expect(ids.first == 0 && ids.last == 0 && ids.count { $0 == 0 } == 2, "\(content)")
      #expect(tokenizer.decode(ids) == content)
    }
  }

  @Test("A name that is literal gets no space of the tokenizer's before it")
  func prefixSpace() throws {
    let tokenizer = try Self.tokenizer("options")
    let chat = try Self.chat("a{{ messages[0].content }}", "b<|end|>c日本d")
    let ids = tokenizer.encode(chat)
    #expect(!ids.contains { tokenizer.isSpecial($0) })
    #expect(tokenizer.decode(ids) == " ab<|end|>c日本d")
  }

  @Test("Random mixtures: as many control tokens as the template wrote")
  func random() throws {
    let tokenizer = try Self.tokenizer()
    var state: UInt64 = 7
    func next(_ count: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % count
    }
    let parts = ["<|end|>", "<|", "end", "|>", "<|e", "nd|>", "|", "a ", "é"]
    for _ in 0..<300 {
      var template = ""
      var expected = 0
      var messages: [ChatMessage] = []
      for index in 0..<(1 + next(8)) {
        let text = (0..<(1 + next(3))).map { _ in parts[next(parts.count)] }.joined()
        if next(2) == 0 {
          // Ends that a following part of the template could complete are not counted twice.
          template += "\n" + text + "\n"
          expected += text.components(separatedBy: "<|end|>").count - 1
        } else {
          template += "{{ messages[\(messages.count)].content }}"
          messages.append(ChatMessage(role: index % 2 == 0 ? "user" : "assistant", content: text))
        }
      }
      let chat = try ChatTemplate(template).render(
        messages, beginOfSequence: "", endOfSequence: "")
      #expect(tokenizer.encode(chat).count { $0 == 0 } == expected, "\(template) \(messages)")
    }
  }

  @Test("The token that ends a turn is read off the template")
  func endOfTurn() throws {
    let tokenizer = try Self.tokenizer()
    func end(_ template: String) throws -> Int32? {
      tokenizer.endOfTurn(of: try ChatTemplate(template))
    }
    #expect(
      try end("{% for m in messages %}{{ m.role }}: {{ m.content }}<|end|>\n{% endfor %}") == 0)
    #expect(try end("{% for m in messages %}{{ m.content | trim }} <|end|>{% endfor %}") == 0)
    #expect(try end("{% for m in messages %}{{ m.content }}\nx<|end|>{% endfor %}") == nil)
    #expect(try end("{% for m in messages %}{{ m.content }}{% endfor %}") == nil)
    #expect(try end("{{ raise_exception('no') }}") == nil)
  }

  @Test("A role cannot hold a control token")
  func roles() throws {
    let template = try ChatTemplate("{{ '<|' + messages[0].role + '|>' }}")
    #expect(throws: ChatTemplateError.self) {
      try template.render(
        [ChatMessage(role: "end|>x<|end", content: "")], beginOfSequence: "", endOfSequence: "")
    }
  }

  @Test("A megabyte of the beginnings of names takes linear time")
  func linear() throws {
    let tokenizer = try Self.tokenizer()
    let content = String(repeating: "<|end", count: 200_000)
    let ids = tokenizer.encode(try Self.chat("{{ messages[0].content }}", content))
    #expect(tokenizer.decode(ids) == content)
  }
}
