import EmberTestSupport
import Foundation
import Testing

/// Files of every kind but weights that are made to crash, hang or fill the memory: the built program
/// says what is wrong in one line, within the limits of `BuiltProgram`. The corpus only grows; weights
/// are in the quantizer's tests.
@Suite("Hostile files")
struct HostileInputTests {
  private static let checkpoint = Task {
    let checkpoint = try TinyCheckpoint()
    try await checkpoint.quantize()
    return checkpoint
  }

  /// Writes the file beside a good model and runs the program.
  private func check(
    _ content: [UInt8], _ name: String, input: String = "", mayEndWell: Bool = false,
    _ arguments: (TinyCheckpoint, String) -> [String]
  ) async throws {
    let checkpoint = try await Self.checkpoint.value
    let folder = checkpoint.folder.appending(path: UUID().uuidString)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
    defer { try? FileManager.default.removeItem(at: folder) }
    let path = folder.appending(path: name).path
    try Data(content).write(to: URL(filePath: path))
    if name.hasSuffix(".index.json") {
      let llama = TestData.bundled("Tests/fixtures/architectures/llama/config.json")
      try FileManager.default.copyItem(
        atPath: llama, toPath: folder.appending(path: "config.json").path)
    }
    let typed = folder.appending(path: "typed")
    try Data(input.utf8).write(to: typed)
    let complaint = try BuiltProgram.complaint(
      running: arguments(checkpoint, path), input: typed.path, mayEndWell: mayEndWell)
    #expect(complaint == nil)
  }

  private static func many(_ text: String, _ count: Int) -> String {
    String(repeating: text, count: count)
  }

  // MARK: JSON

  /// JSON that is none, or that nobody should believe.
  static let texts: [(name: String, bytes: [UInt8])] = {
    let deep = 100_000
    var texts: [(String, String)] = [
      ("empty", ""), ("spaces", many(" ", 1_000_000)), ("a byte order mark", "\u{FEFF}"),
      ("open arrays", many("[", deep)), ("open objects", many("{\"a\":", deep)),
      ("arrays", "{\"a\":" + many("[", deep) + many("]", deep) + "}"),
      ("objects", many("{\"a\":", deep) + "1" + many("}", deep)),
      ("arrays of objects", many("[{\"a\":", deep) + "1" + many("}]", deep)),
      ("NaN", "{\"a\":NaN}"), ("infinity", "{\"a\":-Infinity}"), ("1e999", "{\"a\":1e999}"),
      ("a number of a million digits", "{\"a\":" + many("9", 1_000_000) + "}"),
      ("an exponent of a million digits", "{\"a\":1e" + many("9", 1_000_000) + "}"),
      ("a key twice", "{\"model\":{},\"model\":{}}"),
      ("a key twice, spelled differently", "{\"model\":{},\"\\u006dodel\":{}}"),
      ("half a pair", "{\"\\ud800\":1}"), ("the other half", "{\"a\":\"\\udc00\"}"),
      ("a pair the wrong way round", "{\"a\":\"\\udc00\\ud800\"}"),
      ("half an escape", "{\"a\":\"\\u12"),
      ("a control character", "{\"a\":\"\u{1}\"}"), ("a zero byte", "{\"a\":\u{0}}"),
      ("no end", "{\"a\":\"" + many("x", 5_000_000)), ("a comma too many", "{\"a\":1,}"),
      ("two values", "{}{}"), ("no object", "[1]"), ("null", "null"),
      ("a string of megabytes", "{\"a\":\"" + many("x", 5_000_000) + "\"}"),
      ("a string of escapes", "{\"a\":\"" + many("\\u0041", 1_000_000) + "\"}"),
      ("many numbers", "{\"a\":[1" + many(",1", 1_000_000) + "]}"),
      ("many arrays", "{\"a\":[[]" + many(",[]", 500_000) + "]}"),
      ("many objects", "{\"a\":[{}" + many(",{}", 500_000) + "]}"),
    ]
    texts.append(
      ("many keys", "{" + (0..<200_000).map { "\"k\($0)\":1" }.joined(separator: ",") + "}"))
    var bytes = texts.map { ($0.0, Array($0.1.utf8)) }
    for (name, text) in [
      ("cut in a character", [0xE2, 0x82]), ("an overlong character", [0xC0, 0xAF]),
      ("a surrogate in UTF-8", [0xED, 0xA0, 0x80]), ("beyond Unicode", [0xF4, 0x90, 0x80, 0x80]),
      ("a continuation", [0x80]), ("Latin 1", [0xE9]),
    ] as [(String, [UInt8])] {
      bytes.append((name, Array("{\"a\":\"".utf8) + text + Array("\"}".utf8)))
      bytes.append((name + " at the end", Array("{\"a\":\"".utf8) + text))
    }
    let utf16 = "{\"a\":1}".utf16.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8($0 >> 8)] }
    bytes.append(("UTF-16", [0xFF, 0xFE] + utf16))
    return bytes
  }()

  @Test("JSON as config.json", arguments: texts.map(\.name))
  func configurations(_ name: String) async throws {
    try await check(try Self.text(name), "config.json") { _, path in
      ["quantize", URL(filePath: path).deletingLastPathComponent().path]
    }
  }

  @Test("JSON as tokenizer.json", arguments: texts.map(\.name))
  func tokenizers(_ name: String) async throws {
    try await check(try Self.text(name), "tokenizer.json") { _, path in
      ["tokenize", path, "--text", "a"]
    }
  }

  @Test("JSON as a conversation", arguments: texts.map(\.name))
  func conversations(_ name: String) async throws {
    try await check(try Self.text(name), "talk.json") { checkpoint, path in
      ["chat", checkpoint.path("model.q4"), "--template", "plain", "--load", path]
    }
  }

  @Test("JSON as an index of shards", arguments: texts.map(\.name))
  func indexes(_ name: String) async throws {
    try await check(try Self.text(name), "model.safetensors.index.json") { _, path in
      ["quantize", URL(filePath: path).deletingLastPathComponent().path]
    }
  }

  private static func text(_ name: String) throws -> [UInt8] {
    try #require(texts.first { $0.name == name }).bytes
  }

  // MARK: Tokenizers

  private static func tokenizer(expression: String) throws -> [UInt8] {
    let json: [String: Any] = [
      "model": ["type": "BPE", "vocab": ["a": 0], "merges": [String]()],
      "pre_tokenizer": [
        "type": "Split", "pattern": ["Regex": expression], "behavior": "Isolated", "invert": false,
      ],
    ]
    return [UInt8](try JSONSerialization.data(withJSONObject: json))
  }

  @Test(
    "Expressions",
    arguments: [
      many("(", 100_000), many("(?=", 100_000), many("[", 100_000), many("a|", 100_000) + "(",
      "(((a{1000}){1000}){1000}){1000}", "a{1000000000}", "(a{0,1000}){0,1000}",
      "[" + many("a-z", 100_000), many("a?", 100_000) + "(", "\\p{" + many("L", 100_000),
      "(?<=" + many("a", 10_000) + ")", many("(?i:", 100_000), "(?:a*)*{9999}\\1", "[z-a]", "\\",
    ])
  func expressions(_ expression: String) async throws {
    try await check(try Self.tokenizer(expression: expression), "tokenizer.json") { _, path in
      ["tokenize", path, "--text", "a"]
    }
  }

  static let models: [(name: String, bytes: [UInt8])] = {
    func repeated(_ bytes: [UInt8], _ count: Int) -> [UInt8] {
      [UInt8]([[UInt8]](repeating: bytes, count: count).joined())
    }
    let most: [UInt8] = [UInt8](repeating: 0xFF, count: 9) + [1]
    return [
      ("empty", []), ("a length of 2^64", [0x0A] + most),
      ("continued for ever", [0x0A] + most + most),
      ("a million bytes of continuation", [UInt8](repeating: 0x80, count: 1_000_000)),
      ("a million groups", [UInt8](repeating: 0x0B, count: 1_000_000)),
      ("a million empty pieces", repeated([0x0A, 0], 1_000_000)),
      ("a million pieces without text", repeated([0x0A, 2, 0x0A, 0], 1_000_000)),
      ("the same piece often", repeated([0x0A, 3, 0x0A, 1, 0x61], 1_000_000)),
      ("a long piece", [0x0A, 0x85, 0x80, 0x80, 2, 0x0A, 0x80, 0x80, 0x80, 2]),
      ("zeros", [UInt8](repeating: 0, count: 5_000_000)),
      ("unknown fields", repeated([0x78, 1], 1_000_000)),
      ("pickle", [0x80, 4, 0x95]), ("text", Array("not a model".utf8)),
    ]
  }()

  @Test("tokenizer.model", arguments: models.map(\.name))
  func sentencePieces(_ name: String) async throws {
    let bytes = try #require(Self.models.first { $0.name == name }).bytes
    try await check(bytes, "tokenizer.model") { _, path in ["tokenize", path, "--text", "a"] }
  }

  @Test(
    "tokenizer.bin",
    arguments: [
      [], [1, 0, 0, 0], [1, 0, 0, 0] + [UInt8](repeating: 0xFF, count: 8),
      [8, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0x7F],
      [UInt8](repeating: 0, count: 1_000_003), [UInt8](repeating: 0xFF, count: 1_000_000),
    ] as [[UInt8]])
  func llama2c(_ bytes: [UInt8]) async throws {
    try await check(bytes, "tokenizer.bin") { _, path in ["tokenize", path, "--text", "a"] }
  }

  // MARK: Templates, grammars, schemas

  @Test("Chat templates", arguments: hostileTemplates.indices)
  func templates(_ index: Int) async throws {
    let template = Array(Self.hostileTemplates[index].utf8)
    try await check(template, "chat.jinja", input: "a\n") { checkpoint, path in
      ["chat", checkpoint.path("model.q4"), "--template", path, "-n", "1"]
    }
  }

  static let hostileTemplates: [String] = [
    "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
    "{{ 'a' * 100000000000 }}", "{{ ('a' * 100000) | replace('a', 'b' * 100000) }}",
    "{% set ns = namespace(x='ab') %}{% for i in range(99) %}{% set ns.x = ns.x + ns.x %}"
      + "{% endfor %}",
    "{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = [ns.x, ns.x] %}"
      + "{% endfor %}{{ ns.x }}",
    "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}", "{{ " + many("(", 100_000),
    "{{ " + many("[", 100_000), "{{ a" + many(".b", 100_000) + " }}", many("{% if 1 %}", 100_000),
    "{{ 'a'" + many("|trim", 100_000) + " }}", "{{ " + many("-", 100_000) + "1 }}",
    "{{ " + many("a ", 1_000_000), many("{{", 1_000_000), many("{#", 1_000_000),
    "{{ range(99999) | join('a' * 99999) }}", "{{ messages[9223372036854775807].role }}",
    "{{ ().__class__.__bases__[0].__subclasses__() }}", "{{ self.__init__.__globals__ }}",
    "{% include '/etc/passwd' %}", "{% import 'os' as os %}", "{{ cycler.__init__ }}",
    "{{ '%s%s' % messages }}", "{{ 1 / 0 }}", "{{ 10 ** 99 }}", "{{ undefined.a.b }}",
  ]

  /// Those that are none are errors; the others are followed within the limits.
  @Test("Grammars", arguments: hostileGrammars.indices)
  func grammars(_ index: Int) async throws {
    let grammar = Self.hostileGrammars[index]
    try await check(Array(grammar.utf8), "grammar.gbnf", mayEndWell: true) { checkpoint, path in
      ["run", checkpoint.path("model.q4"), "--prompt", "a", "-n", "1", "--grammar", path]
    }
  }

  static let hostileGrammars: [String] = {
    var grammars: [String] = [
      "", "root", "root ::= \"a\"{1000000000}", "root ::= ((((\"a\"{999}){999}){999}){999})",
      "root ::= missing", "root ::= root", "a ::= \"a\"", "root ::= [z-a]", "\u{0}",
      "root ::= root \"a\" | root \"b\"", "root ::= a\na ::= b\nb ::= a \"x\"",
      "root ::= \"a\"\nroot ::= \"b\"", "root ::= \"\\x\"", "root ::= [\\uD800]",
    ]
    grammars.append("root ::= " + many("(", 100_000))
    grammars.append("root ::= \"" + many("x", 5_000_000))
    grammars.append("root ::= [" + many("a", 5_000_000))
    grammars.append(many("root ::= \"a\" | ", 100_000))
    grammars.append(many("#", 1_000_000))
    grammars.append(many("(* ", 100_000))
    // Each rule twice the next.
    func doubling(_ count: Int, _ end: String) -> String {
      let rules = (0..<count).map { "r\($0) ::= r\($0 + 1) r\($0 + 1)\n" }.joined()
      return rules + end
    }
    grammars.append(doubling(100_000, "root ::= r0"))
    grammars.append(doubling(40, "r40 ::= \"\"\nroot ::= r0 missing"))
    return grammars
  }()

  @Test("JSON as a schema", arguments: texts.map(\.name))
  func schemaTexts(_ name: String) async throws {
    try await checkSchema(try Self.text(name))
  }

  @Test(
    "Schemas", arguments: hostileSchemas.indices)
  func schemas(_ index: Int) async throws {
    try await checkSchema(Array(Self.hostileSchemas[index].utf8))
  }

  static let hostileSchemas: [String] = {
    var schemas: [String] = [
      ##"{"$ref":"#"}"##, ##"{"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/a"}}}"##,
      ##"{"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}}}"##,
      ##"{"$ref":"#/missing"}"##, ##"{"$ref":"http://example.com/schema"}"##, ##"{"$ref":7}"##,
      ##"{"type":"string","minLength":1000000000}"##, ##"{"type":"string","maxLength":-1}"##,
      ##"{"type":"string","minLength":5,"maxLength":2}"##,
      ##"{"type":"string","pattern":"^((a{1000}){1000}){1000}$"}"##,
      ##"{"type":"string","pattern":"(?=a)"}"##, ##"{"type":"nonsense"}"##, ##"{"enum":[]}"##,
      ##"{"type":"object","properties":7}"##, ##"{"anyOf":[]}"##, ##"{"not":{}}"##,
      ##"{"required":["a"],"type":7}"##,
    ]
    schemas.append(
      ##"{"type":"array","minItems":1000,"items":{"type":"array","minItems":1000,"##
        + ##""items":{"type":"string"}}}"##)
    schemas.append(##"{"type":"string","pattern":"^"## + many("(", 100_000) + ##"$"}"##)
    let properties = (0..<3000).map { "\"k\($0)\":{}" }.joined(separator: ",")
    schemas.append(##"{"type":"object","required":[7],"properties":{"## + properties + "}}")
    // Each definition twice the next: 2^40 ways to the same end, which allows nothing.
    var definitions: [String] = []
    for index in 0..<40 {
      let next = ##"{"$ref":"#/$defs/d\##(index + 1)"}"##
      definitions.append(##""d\##(index)":{"anyOf":[\##(next),\##(next)]}"##)
    }
    schemas.append(
      ##"{"$ref":"#/$defs/d0","$defs":{"d40":false,"## + definitions.joined(separator: ",") + "}}")
    return schemas
  }()

  private func checkSchema(_ bytes: [UInt8]) async throws {
    try await check(bytes, "schema.json", mayEndWell: true) { checkpoint, path in
      ["run", checkpoint.path("model.q4"), "--prompt", "a", "-n", "1", "--json-schema", path]
    }
  }
}
