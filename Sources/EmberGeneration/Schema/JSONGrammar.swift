import EmberTokenizer

/// The rules of JSON itself, as far as it is generated: numbers of a length that programs can hold,
/// no escape but the short ones, and at most one space behind a colon or a comma.
enum JSONGrammar {
  static let value = "any value"
  static let character = "character"

  static func name(ofType type: String) -> String { "any \(type)" }

  static let comma = GrammarExpression.sequence([.text(","), .optional(.text(" "))])
  static let colon = GrammarExpression.sequence([.text(":"), .optional(.text(" "))])

  /// Characters that stand for themselves in a string.
  static let plain = CharacterRanges([0x20...0x10FFFF])
    .subtracting(CharacterRanges("\"\\".unicodeScalars))

  static let rules: [GrammarParser.Rule] = {
    func digits(_ least: Int, _ most: Int) -> GrammarExpression {
      .repeated(.characters(CharacterRanges([0x30...0x39])), least: least, most: most)
    }
    let whole = GrammarExpression.sequence([
      .optional(.text("-")),
      .alternatives([
        .text("0"), .sequence([.characters(CharacterRanges([0x31...0x39])), digits(0, 14)]),
      ]),
    ])
    let fraction = GrammarExpression.sequence([.text("."), digits(1, 15)])
    let exponent = GrammarExpression.sequence([
      .characters(CharacterRanges("eE".unicodeScalars)),
      .optional(.characters(CharacterRanges("+-".unicodeScalars))), digits(1, 2),
    ])
    func list(
      _ open: String, _ item: GrammarExpression, _ close: String
    ) -> GrammarExpression {
      let more = GrammarExpression.repeated(.sequence([comma, item]), least: 0, most: nil)
      return .sequence([.text(open), .optional(.sequence([item, more])), .text(close)])
    }
    let rules: [(String, GrammarExpression)] = [
      (
        character,
        .alternatives([
          .characters(plain),
          .sequence([.text("\\"), .characters(CharacterRanges("\"\\/bfnrt".unicodeScalars))]),
        ])
      ),
      (
        name(ofType: "string"),
        .sequence([
          .text("\""), .repeated(.rule(character), least: 0, most: nil), .text("\""),
        ])
      ),
      (name(ofType: "integer"), whole),
      (
        name(ofType: "number"), .sequence([whole, .optional(fraction), .optional(exponent)])
      ),
      (name(ofType: "boolean"), .alternatives([.text("true"), .text("false")])),
      (name(ofType: "null"), .text("null")),
      (name(ofType: "array"), list("[", .rule(value), "]")),
      (
        name(ofType: "object"),
        list(
          "{", .sequence([.rule(name(ofType: "string")), colon, .rule(value)]), "}")
      ),
      (
        value,
        .alternatives(
          ["string", "number", "boolean", "null", "array", "object"].map {
            .rule(name(ofType: $0))
          })
      ),
    ]
    return rules.map { .init(name: $0.0, line: 1, expression: $0.1) }
  }()

  /// A value as text: compact, and everything in strings that need not be escaped as it is.
  static func text(_ value: JSONValue) -> String {
    switch value {
    case .null, .bool, .integer, .number: value.summary
    case .string(let string): "\"" + string.unicodeScalars.map(escaped).joined() + "\""
    case .array(let elements): "[" + elements.map(text).joined(separator: ",") + "]"
    case .object(let members):
      "{" + members.map { text(.string($0.key)) + ":" + text($0.value) }.joined(separator: ",")
        + "}"
    }
  }

  /// A character as it stands in a string.
  static func escaped(_ scalar: Unicode.Scalar) -> String {
    if plain.contains(scalar.value) { return String(scalar) }
    switch scalar {
    case "\"", "\\": return "\\" + String(scalar)
    case "\u{8}": return "\\b"
    case "\u{C}": return "\\f"
    case "\n": return "\\n"
    case "\r": return "\\r"
    case "\t": return "\\t"
    default:
      let digits = String(scalar.value, radix: 16)
      return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
    }
  }
}
