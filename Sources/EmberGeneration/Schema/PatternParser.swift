/// Reads the `pattern` of a string: the part of ECMA-262's expressions that is a grammar, over the
/// characters as they stand in JSON.
///
/// Literals, classes, `.`, `\d \w \s` and their opposites, groups, alternatives, `* + ? {m,n}`, and
/// ^ and $ at the beginning and the end of an alternative; without them, anything may stand before
/// and behind.
struct PatternParser {
  private let scalars: [Unicode.Scalar]
  private let path: String
  private var place = 0
  private var depth = 0

  private static let digits = CharacterRanges([0x30...0x39])
  private static let word = CharacterRanges([0x30...0x39, 0x41...0x5A, 0x5F...0x5F, 0x61...0x7A])
  private static let space = CharacterRanges([
    0x09...0x0D, 0x20...0x20, 0xA0...0xA0, 0x1680...0x1680, 0x2000...0x200A, 0x2028...0x2029,
    0x202F...0x202F, 0x205F...0x205F, 0x3000...0x3000, 0xFEFF...0xFEFF,
  ])
  private static let anything = GrammarExpression.repeated(
    .rule(JSONGrammar.character), least: 0, most: nil)

  init(_ pattern: String, path: String) {
    scalars = Array(pattern.unicodeScalars)
    self.path = path
  }

  /// - Throws: `GenerationError.unsupportedSchema`
  mutating func expression() throws(GenerationError) -> GrammarExpression {
    var list: [GrammarExpression] = []
    repeat {
      let isAnchored = take("^")
      var parts = isAnchored ? [] : [Self.anything]
      parts.append(try sequence())
      if !take("$") { parts.append(Self.anything) }
      list.append(.sequence(parts))
    } while take("|")
    if place < scalars.count { throw error("\"\(scalars[place])\" at character \(place + 1)") }
    return list.count == 1 ? list[0] : .alternatives(list)
  }

  private func error(_ what: String) -> GenerationError {
    .unsupportedSchema(path: path, problem: "pattern: \(what) is not supported")
  }

  private var current: Unicode.Scalar? { place < scalars.count ? scalars[place] : nil }

  private mutating func take(_ text: String) -> Bool {
    guard scalars[place...].starts(with: text.unicodeScalars) else { return false }
    place += text.unicodeScalars.count
    return true
  }

  private mutating func sequence() throws(GenerationError) -> GrammarExpression {
    var list: [GrammarExpression] = []
    while let scalar = current, scalar != "|", scalar != ")", scalar != "$" {
      list.append(try repetition(of: try item(scalar)))
    }
    return .sequence(list)
  }

  private mutating func item(_ scalar: Unicode.Scalar) throws(GenerationError) -> GrammarExpression
  {
    place += 1
    switch scalar {
    case ".":
      return Self.inJSON(CharacterRanges("\n\r\u{2028}\u{2029}".unicodeScalars).inverted)
    case "[": return Self.inJSON(try characterClass())
    case "\\": return Self.inJSON(try escape(inClass: false))
    case "(":
      depth += 1
      defer { depth -= 1 }
      if depth > 50 { throw error("nesting deeper than 50") }
      if current == "?", !take("?:") { throw error("a group that begins with (?") }
      var list = [try sequence()]
      while take("|") { list.append(try sequence()) }
      if !take(")") { throw error(current == "$" ? "$ inside a group" : "a group without its )") }
      return .alternatives(list)
    case "*", "+", "?", "{", "}", "]", "^":
      throw error("\"\(scalar)\" at character \(place)")
    default: return Self.inJSON(CharacterRanges(scalar.value))
    }
  }

  private mutating func characterClass() throws(GenerationError) -> CharacterRanges {
    let isInverted = take("^")
    var set = CharacterRanges([])
    while !take("]") {
      let low = try classPart()
      guard low.ranges.count == 1, low.ranges[0].count == 1, current == "-",
        place + 1 < scalars.count, scalars[place + 1] != "]"
      else {
        set = set.union(low)
        continue
      }
      place += 1
      let high = try classPart()
      guard high.ranges.count == 1, high.ranges[0].count == 1,
        high.ranges[0].lowerBound >= low.ranges[0].lowerBound
      else { throw error("such a range in a class") }
      set = set.union(CharacterRanges([low.ranges[0].lowerBound...high.ranges[0].lowerBound]))
    }
    return isInverted ? set.inverted : set
  }

  private mutating func classPart() throws(GenerationError) -> CharacterRanges {
    guard let scalar = current else { throw error("a class without its ]") }
    place += 1
    return scalar == "\\" ? try escape(inClass: true) : CharacterRanges(scalar.value)
  }

  private mutating func escape(inClass: Bool) throws(GenerationError) -> CharacterRanges {
    guard let scalar = current else { throw error("a backslash at the end") }
    place += 1
    switch scalar {
    case "d": return Self.digits
    case "D": return Self.digits.inverted
    case "w": return Self.word
    case "W": return Self.word.inverted
    case "s": return Self.space
    case "S": return Self.space.inverted
    case "n": return CharacterRanges(0x0A)
    case "r": return CharacterRanges(0x0D)
    case "t": return CharacterRanges(0x09)
    case "f": return CharacterRanges(0x0C)
    case "v": return CharacterRanges(0x0B)
    case "x": return CharacterRanges(try hexadecimal(2))
    case "u": return CharacterRanges(try hexadecimal(4))
    case _ where scalar.properties.isAlphabetic || ("0"..."9").contains(scalar):
      throw error("\\\(scalar)")
    default: return CharacterRanges(scalar.value)
    }
  }

  private mutating func hexadecimal(_ digits: Int) throws(GenerationError) -> UInt32 {
    var value: UInt32 = 0
    for _ in 0..<digits {
      guard let digit = current.flatMap({ Character($0).hexDigitValue }) else {
        throw error("an escape without its \(digits) digits")
      }
      value = value << 4 | UInt32(digit)
      place += 1
    }
    return value
  }

  private mutating func repetition(
    of expression: GrammarExpression
  ) throws(GenerationError) -> GrammarExpression {
    guard let scalar = current, "*+?{".unicodeScalars.contains(scalar) else { return expression }
    place += 1
    var result: GrammarExpression
    switch scalar {
    case "*": result = .repeated(expression, least: 0, most: nil)
    case "+": result = .repeated(expression, least: 1, most: nil)
    case "?": result = .optional(expression)
    default:
      guard let least = try number() else { throw error("\"{\" without a number") }
      var most: Int? = least
      if take(",") { most = try number() }
      guard take("}"), most ?? least >= least else { throw error("such a repetition") }
      result = .repeated(expression, least: least, most: most)
    }
    if let next = current, "*+?{".unicodeScalars.contains(next) {
      throw error("\"\(next)\" behind a repetition")
    }
    return result
  }

  private mutating func number() throws(GenerationError) -> Int? {
    var value: Int?
    while let digit = current.flatMap({ Character($0).wholeNumberValue }), digit < 10 {
      value = (value ?? 0) * 10 + digit
      if value ?? 0 > GrammarCompiler.mostElements { throw error("such a large repetition") }
      place += 1
    }
    return value
  }

  /// One character of a set, as it stands in a string of JSON.
  private static func inJSON(_ set: CharacterRanges) -> GrammarExpression {
    let plain = set.subtracting(JSONGrammar.plain.inverted)
    var list: [GrammarExpression] = plain.ranges.isEmpty ? [] : [.characters(plain)]
    let escaped = (0..<UInt32(0x20)).map { $0 } + [0x22, 0x5C]
    for value in escaped where set.contains(value) {
      if let scalar = Unicode.Scalar(value) { list.append(.text(JSONGrammar.escaped(scalar))) }
    }
    return list.count == 1 ? list[0] : .alternatives(list)
  }
}
