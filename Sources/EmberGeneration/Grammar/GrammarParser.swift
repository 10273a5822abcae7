/// Reads GBNF: the notation of llama.cpp's grammars.
struct GrammarParser {
  /// A rule and where it stands.
  struct Rule {
    var name: String
    var line: Int
    var expression: GrammarExpression
  }

  private let scalars: [Unicode.Scalar]
  private var place = 0
  private var line = 1
  private var depth = 0

  private static let deepestNesting = 100
  /// A grammar larger than that is no one's.
  private static let longestText = 1 << 20

  init(_ text: String) { scalars = Array(text.unicodeScalars.prefix(Self.longestText + 1)) }

  /// All rules, in order.
  ///
  /// - Throws: `GenerationError.invalidGrammar`
  mutating func rules() throws(GenerationError) -> [Rule] {
    if scalars.count > Self.longestText { throw error("more than \(Self.longestText) characters") }
    var rules: [Rule] = []
    var lines: [String: Int] = [:]
    skipSpace(newlines: true)
    while current != nil {
      let line = self.line
      let name = try name()
      if let first = lines[name] { throw error("rule \(name) stands on line \(first) already") }
      lines[name] = line
      skipSpace(newlines: false)
      guard take("::=") else { throw error("expected ::= after the name \(name)") }
      skipSpace(newlines: true)
      rules.append(Rule(name: name, line: line, expression: try alternatives(nested: false)))
      if current != nil, current != "\n" { throw error("expected the end of the line") }
      skipSpace(newlines: true)
    }
    return rules
  }

  private func error(_ problem: String) -> GenerationError {
    let found = current.map { $0 == "\n" ? "the end of the line" : "\"\($0)\"" }
    return .invalidGrammar(line: line, problem: problem + ", found \(found ?? "the end")")
  }

  private var current: Unicode.Scalar? { place < scalars.count ? scalars[place] : nil }

  private mutating func advance() {
    if current == "\n" { line += 1 }
    place += 1
  }

  private mutating func take(_ text: String) -> Bool {
    guard scalars[place...].starts(with: text.unicodeScalars) else { return false }
    place += text.unicodeScalars.count
    return true
  }

  /// Spaces and comments.
  private mutating func skipSpace(newlines: Bool) {
    while let scalar = current {
      if scalar == "#" {
        while let scalar = current, scalar != "\n" {
          _ = scalar
          place += 1
        }
      } else if scalar == " " || scalar == "\t" || scalar == "\r" || (newlines && scalar == "\n") {
        advance()
      } else {
        return
      }
    }
  }

  /// Whether the next line goes on with an alternative.
  private func nextLineIsAlternative() -> Bool {
    var rest = self
    rest.skipSpace(newlines: true)
    return rest.current == "|"
  }

  private static func isWord(_ scalar: Unicode.Scalar) -> Bool {
    scalar.isASCII && (scalar.properties.isAlphabetic || ("0"..."9").contains(scalar))
      || scalar == "-" || scalar == "_"
  }

  private mutating func name() throws(GenerationError) -> String {
    var name = ""
    while let scalar = current, Self.isWord(scalar) {
      name.unicodeScalars.append(scalar)
      place += 1
    }
    if name.isEmpty { throw error("expected the name of a rule") }
    return name
  }

  private mutating func alternatives(nested: Bool) throws(GenerationError) -> GrammarExpression {
    depth += 1
    defer { depth -= 1 }
    if depth > Self.deepestNesting { throw error("nested deeper than \(Self.deepestNesting)") }
    var list = [try sequence(nested: nested)]
    while true {
      if !nested, current == "\n", nextLineIsAlternative() { skipSpace(newlines: true) }
      guard take("|") else { break }
      skipSpace(newlines: true)
      list.append(try sequence(nested: nested))
    }
    return list.count == 1 ? list[0] : .alternatives(list)
  }

  private mutating func sequence(nested: Bool) throws(GenerationError) -> GrammarExpression {
    var list: [GrammarExpression] = []
    skipSpace(newlines: nested)
    while let scalar = current, scalar != "|", scalar != ")", scalar != "\n" {
      list.append(try repetition(of: try item(scalar)))
      skipSpace(newlines: nested)
    }
    return list.count == 1 ? list[0] : .sequence(list)
  }

  private mutating func item(_ first: Unicode.Scalar) throws(GenerationError) -> GrammarExpression {
    switch first {
    case "\"":
      place += 1
      var text = ""
      while current != "\"" { text.unicodeScalars.append(try character(in: "a literal")) }
      place += 1
      return .text(text)
    case "[":
      place += 1
      return .characters(try characterClass())
    case ".":
      place += 1
      return .characters(.all)
    case "(":
      place += 1
      let inner = try alternatives(nested: true)
      guard take(")") else { throw error("expected )") }
      return inner
    case _ where Self.isWord(first):
      return .rule(try name())
    default:
      throw error("expected a literal, a class, a group or the name of a rule")
    }
  }

  private mutating func characterClass() throws(GenerationError) -> CharacterRanges {
    let isInverted = take("^")
    var ranges: [ClosedRange<UInt32>] = []
    while current != "]" {
      let low = try character(in: "a class").value
      var high = low
      if current == "-", place + 1 < scalars.count, scalars[place + 1] != "]" {
        place += 1
        high = try character(in: "a class").value
      }
      if high < low { throw error("a range in a class that ends before it begins") }
      ranges.append(low...high)
    }
    place += 1
    if ranges.isEmpty && !isInverted { throw error("a class without characters") }
    let set = CharacterRanges(ranges)
    return isInverted ? set.inverted : set
  }

  private mutating func character(in what: String) throws(GenerationError) -> Unicode.Scalar {
    guard let scalar = current, scalar != "\n" else { throw error("\(what) that does not end") }
    place += 1
    if scalar != "\\" { return scalar }
    guard let escaped = current else { throw error("\(what) that does not end") }
    place += 1
    switch escaped {
    case "n": return "\n"
    case "r": return "\r"
    case "t": return "\t"
    case "x": return try hexadecimal(2)
    case "u": return try hexadecimal(4)
    case "U": return try hexadecimal(8)
    case "\\", "\"", "[", "]", "-", "^": return escaped
    default:
      place -= 1
      throw error("an unknown escape")
    }
  }

  private mutating func hexadecimal(_ digits: Int) throws(GenerationError) -> Unicode.Scalar {
    var value: UInt32 = 0
    for _ in 0..<digits {
      guard let digit = current.flatMap({ Character($0).hexDigitValue }) else {
        throw error("expected \(digits) hexadecimal digits")
      }
      value = value << 4 | UInt32(digit)
      place += 1
    }
    guard let scalar = Unicode.Scalar(value) else {
      throw error("\(String(value, radix: 16)) is no character")
    }
    return scalar
  }

  private mutating func repetition(
    of expression: GrammarExpression
  ) throws(GenerationError) -> GrammarExpression {
    var result = expression
    var count = 0
    while let scalar = current, "*+?{".unicodeScalars.contains(scalar) {
      count += 1
      if count > 8 { throw error("repetitions of repetitions") }
      place += 1
      switch scalar {
      case "*": result = .repeated(result, least: 0, most: nil)
      case "+": result = .repeated(result, least: 1, most: nil)
      case "?": result = .optional(result)
      default: result = try counted(result)
      }
    }
    return result
  }

  /// Behind the brace: `m}`, `m,}`, `,n}` or `m,n}`.
  private mutating func counted(
    _ expression: GrammarExpression
  ) throws(GenerationError) -> GrammarExpression {
    skipSpace(newlines: false)
    let least = try number()
    skipSpace(newlines: false)
    var most = least
    if take(",") {
      skipSpace(newlines: false)
      most = try number()
      skipSpace(newlines: false)
    } else if least == nil {
      throw error("expected a number")
    }
    guard take("}") else { throw error("expected }") }
    if let most, most < least ?? 0 { throw error("a repetition of \(least ?? 0) to \(most)") }
    return .repeated(expression, least: least ?? 0, most: most)
  }

  private mutating func number() throws(GenerationError) -> Int? {
    var value: Int?
    while let digit = current.flatMap({ Character($0).wholeNumberValue }), digit < 10 {
      value = (value ?? 0) * 10 + digit
      if value ?? 0 > GrammarCompiler.mostElements {
        throw error("more than \(GrammarCompiler.mostElements) repetitions")
      }
      place += 1
    }
    return value
  }
}
