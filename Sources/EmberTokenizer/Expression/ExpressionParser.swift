/// Parses the part of Oniguruma's (Ruby's) syntax that tokenizers use: classes with `\p{…}`, `\s`,
/// `\d`, `\w`, alternatives, groups, greedy, lazy and possessive quantifiers, `(?i:…)`, lookahead,
/// one-character lookbehind, and anchors. Everything else is refused by name: guessing at a meaning
/// would give wrong ids.
struct ExpressionParser {
  /// Why an expression is refused: what was found, and where.
  struct Failure: Error, Equatable {
    let reason: String
    let position: Int
  }

  private let text: [UInt32]
  private var position = 0
  private var depth = 0
  private var ignoresCase = false
  private var dotTakesNewlines = false

  static let maximumLength = 8192
  private static let maximumDepth = 24
  private static let maximumRepeats = 1000

  static func parse(_ source: String) throws(Failure) -> ExpressionNode {
    var parser = ExpressionParser(text: source.unicodeScalars.map(\.value))
    if parser.text.count > maximumLength {
      throw Failure(reason: "longer than \(maximumLength) characters", position: 0)
    }
    let node = try parser.alternatives()
    if parser.position < parser.text.count { throw parser.failure("an unmatched ')'") }
    return node
  }

  private init(text: [UInt32]) { self.text = text }

  private func failure(_ reason: String) -> Failure { Failure(reason: reason, position: position) }

  private var current: Unicode.Scalar? {
    position < text.count ? Unicode.Scalar(text[position]) : nil
  }

  private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
    guard current == scalar else { return false }
    position += 1
    return true
  }

  private mutating func take(_ word: String) -> Bool {
    let scalars = word.unicodeScalars.map(\.value)
    guard text[position...].starts(with: scalars) else { return false }
    position += scalars.count
    return true
  }

  // MARK: Structure

  private mutating func alternatives() throws(Failure) -> ExpressionNode {
    depth += 1
    defer { depth -= 1 }
    if depth > Self.maximumDepth { throw failure("groups nested deeper than \(Self.maximumDepth)") }
    // `(?i)` holds to the end of its group.
    let outer = (ignoresCase, dotTakesNewlines)
    defer { (ignoresCase, dotTakesNewlines) = outer }
    var parts = [try sequence()]
    while take("|") { parts.append(try sequence()) }
    return parts.count == 1 ? parts[0] : .alternatives(parts)
  }

  private mutating func sequence() throws(Failure) -> ExpressionNode {
    var parts: [ExpressionNode] = []
    while let scalar = current, scalar != "|", scalar != ")" {
      guard let part = try atom() else { continue }
      parts.append(try quantified(part))
    }
    return parts.count == 1 ? parts[0] : parts.isEmpty ? .empty : .sequence(parts)
  }

  private mutating func atom() throws(Failure) -> ExpressionNode? {
    guard let scalar = current else { throw failure("an expression that ends early") }
    switch scalar {
    case "(": return try group()
    case "[":
      position += 1
      return .set(try bracket())
    case ".":
      position += 1
      return .set(
        dotTakesNewlines
          ? ExpressionSet([.range(0...0x10ffff)])
          : ExpressionSet([.range(10...10)], isNegative: true))
    case "^":
      position += 1
      return .assertion(.lineStart)
    case "$":
      position += 1
      return .assertion(.lineEnd)
    case "\\": return try escape()
    case "*", "+", "?": throw failure("a quantifier with nothing before it")
    default:
      position += 1
      return .set(ExpressionSet([.range(scalar.value...scalar.value)], ignoresCase: ignoresCase))
    }
  }

  private mutating func group() throws(Failure) -> ExpressionNode? {
    position += 1
    var wrap: (ExpressionNode) throws(Failure) -> ExpressionNode = { node in node }
    if take("?") {
      if take("#") { throw failure("a comment") }
      if take(":") {
      } else if take(">") {
        wrap = { .atomic($0) }
      } else if take("=") {
        wrap = { .lookahead($0, isNegative: false) }
      } else if take("!") {
        wrap = { .lookahead($0, isNegative: true) }
      } else if take("<=") || take("<!") {
        let isNegative = text[position - 1] == 0x21
        let at = position
        wrap = { node throws(Failure) in
          guard let set = Self.oneCharacter(node) else {
            throw Failure(reason: "a lookbehind of more than one character", position: at)
          }
          return .lookbehind(set, isNegative: isNegative)
        }
      } else {
        return try options()
      }
    }
    let node = try alternatives()
    guard take(")") else { throw failure("a group without its ')'") }
    return try wrap(node)
  }

  /// `(?i)`, `(?i:…)`, `(?-i:…)`, `(?m:…)`.
  private mutating func options() throws(Failure) -> ExpressionNode? {
    let outer = (ignoresCase, dotTakesNewlines)
    var value = true
    while true {
      if take("-") {
        value = false
      } else if take("i") {
        ignoresCase = value
      } else if take("m") {
        dotTakesNewlines = value
      } else {
        break
      }
    }
    if take(")") { return nil }
    guard take(":") else { throw failure("an unknown kind of group") }
    let node = try alternatives()
    (ignoresCase, dotTakesNewlines) = outer
    guard take(")") else { throw failure("a group without its ')'") }
    return node
  }

  private static func oneCharacter(_ node: ExpressionNode) -> ExpressionSet? {
    switch node {
    case .set(let set): return set
    case .alternatives(let parts):
      var items: [ExpressionSet.Item] = []
      for part in parts {
        guard let set = oneCharacter(part) else { return nil }
        items.append(.nested(set))
      }
      return ExpressionSet(items)
    default: return nil
    }
  }

  // MARK: Quantifiers

  private mutating func quantified(_ atom: ExpressionNode) throws(Failure) -> ExpressionNode {
    var node = atom
    while let scalar = current {
      let bounds: (Int, Int?)
      var isInterval = false
      switch scalar {
      case "*": bounds = (0, nil)
      case "+": bounds = (1, nil)
      case "?": bounds = (0, 1)
      case "{":
        guard let found = try interval() else {
          throw failure("a '{' that begins no quantifier")
        }
        bounds = found
        isInterval = true
      default: return node
      }
      if !isInterval { position += 1 }
      var greed = ExpressionNode.Greed.greedy
      if take("?") {
        if isInterval && bounds.0 == bounds.1 { throw failure("'{n}?', which is ambiguous") }
        greed = .lazy
      } else if !isInterval && take("+") {
        // Behind an interval, Ruby takes the + for another repetition.
        greed = .possessive
      }
      if bounds.1 != 1 && node.isNullable {
        throw failure("a repetition of something that may be empty")
      }
      node = .repetition(node, minimum: bounds.0, maximum: bounds.1, greed)
    }
    return node
  }

  private mutating func interval() throws(Failure) -> (Int, Int?)? {
    let start = position
    position += 1
    let low = number()
    let hasComma = take(",")
    let high = hasComma ? number() : low
    guard take("}"), low != nil || (hasComma && high != nil) else {
      position = start
      return nil
    }
    let bounds = (low ?? 0, hasComma ? high : low)
    guard bounds.0 <= Self.maximumRepeats, (bounds.1 ?? 0) <= Self.maximumRepeats else {
      throw failure("a repetition above \(Self.maximumRepeats)")
    }
    if let high = bounds.1, high < bounds.0 { throw failure("an interval that falls") }
    return bounds
  }

  private mutating func number() -> Int? {
    var value: Int?
    while let scalar = current, ("0"..."9").contains(scalar) {
      value = min((value ?? 0) * 10 + Int(scalar.value - 0x30), 1_000_000)
      position += 1
    }
    return value
  }

  // MARK: Characters

  private mutating func escape() throws(Failure) -> ExpressionNode {
    position += 1
    guard let scalar = current else { throw failure("a lone '\\' at the end") }
    let assertions: [Unicode.Scalar: ExpressionNode.Assertion] = [
      "A": .textStart, "z": .textEnd, "Z": .textEndOrFinalNewline, "b": .wordBoundary,
      "B": .notWordBoundary,
    ]
    if let assertion = assertions[scalar] {
      position += 1
      return .assertion(assertion)
    }
    return .set(ExpressionSet([try escapedItem()], ignoresCase: ignoresCase))
  }

  /// After the backslash.
  private mutating func escapedItem() throws(Failure) -> ExpressionSet.Item {
    guard let scalar = current else { throw failure("a lone '\\' at the end") }
    position += 1
    func single(_ point: UInt32) -> ExpressionSet.Item { .range(point...point) }
    switch scalar {
    case "d", "D": return .categories(Self.decimalDigits, isNegative: scalar == "D")
    case "s", "S": return .property(.expressionSpace, isNegative: scalar == "S")
    case "w", "W": return .property(.expressionWord, isNegative: scalar == "W")
    case "h", "H":
      return .nested(
        ExpressionSet(
          [.range(0x30...0x39), .range(0x41...0x46), .range(0x61...0x66)],
          isNegative: scalar == "H"))
    case "p", "P": return try property(isNegative: scalar == "P")
    case "t": return single(9)
    case "n": return single(10)
    case "v": return single(11)
    case "f": return single(12)
    case "r": return single(13)
    case "a": return single(7)
    case "e": return single(27)
    case "0": return single(0)
    case "x": return single(try take("{") ? hexadecimal(1...8, closes: true) : hexadecimal(1...2))
    case "u": return single(try take("{") ? hexadecimal(1...8, closes: true) : hexadecimal(4...4))
    default:
      if scalar.value < 128, scalar.properties.isAlphabetic || ("1"..."9").contains(scalar) {
        throw failure("the escape '\\\(scalar)'")
      }
      return single(scalar.value)
    }
  }

  private static let decimalDigits: UInt32 = mask { $0 == "Nd" }

  private static func mask(_ includes: (String) -> Bool) -> UInt32 {
    var mask: UInt32 = 0
    for (index, name) in CharacterProperties.categories.enumerated() where includes(name) {
      mask |= 1 << UInt32(index + 1)
    }
    return mask
  }

  private mutating func hexadecimal(
    _ lengths: ClosedRange<Int>, closes: Bool = false
  ) throws(Failure) -> UInt32 {
    var value: UInt32 = 0
    var count = 0
    while count < lengths.upperBound, let scalar = current,
      let digit = Character(scalar).hexDigitValue, scalar.isASCII
    {
      value = value << 4 | UInt32(digit)
      position += 1
      count += 1
    }
    guard lengths.contains(count), Unicode.Scalar(value) != nil, !closes || take("}") else {
      throw failure("a hexadecimal escape that is no character")
    }
    return value
  }

  private mutating func property(isNegative: Bool) throws(Failure) -> ExpressionSet.Item {
    guard take("{") else { throw failure("'\\p' without braces") }
    let isInverse = take("^")
    var name = ""
    while let scalar = current, scalar != "}", name.utf8.count < 40 {
      name.unicodeScalars.append(scalar)
      position += 1
    }
    guard take("}") else { throw failure("'\\p{' without its '}'") }
    let negative = isNegative != isInverse
    let longNames = [
      "Letter": "L", "Number": "N", "Mark": "M", "Punctuation": "P", "Symbol": "S",
      "Separator": "Z", "Other": "C",
    ]
    let short = longNames[name] ?? name
    if let index = CharacterProperties.scripts.firstIndex(of: short) {
      return .property(.init(rawValue: 1 << UInt32(16 + index)), isNegative: negative)
    }
    let bits = Self.mask { $0 == short || (short.utf8.count == 1 && $0.hasPrefix(short)) }
    if bits == 0 && short != "Cn" { throw failure("the property '\(name)'") }
    // Unassigned characters are category 0, and belong to "C".
    return .categories(bits | (short == "C" || short == "Cn" ? 1 : 0), isNegative: negative)
  }

  private mutating func bracket() throws(Failure) -> ExpressionSet {
    depth += 1
    defer { depth -= 1 }
    if depth > Self.maximumDepth { throw failure("sets nested deeper than \(Self.maximumDepth)") }
    let isNegative = take("^")
    var items: [ExpressionSet.Item] = []
    var isFirst = true
    while true {
      guard let scalar = current else { throw failure("a set without its ']'") }
      if scalar == "]", !isFirst {
        position += 1
        return ExpressionSet(items, isNegative: isNegative, ignoresCase: ignoresCase)
      }
      isFirst = false
      if scalar == "[" {
        if take("[:") { throw failure("a POSIX bracket '[:…:]'") }
        position += 1
        items.append(.nested(try bracket()))
        continue
      }
      if take("&&") { throw failure("an intersection '&&'") }
      let item = try setItem()
      guard case .range(let low) = item, low.count == 1, current == "-",
        position + 1 < text.count, text[position + 1] != 0x5d
      else {
        items.append(item)
        continue
      }
      position += 1
      guard case .range(let high) = try setItem(), high.count == 1,
        low.lowerBound <= high.lowerBound
      else { throw failure("a range that falls or has no end") }
      items.append(.range(low.lowerBound...high.lowerBound))
    }
  }

  private mutating func setItem() throws(Failure) -> ExpressionSet.Item {
    guard let scalar = current else { throw failure("a set without its ']'") }
    position += 1
    if scalar == "\\" {
      if take("b") { return .range(8...8) }
      return try escapedItem()
    }
    return .range(scalar.value...scalar.value)
  }
}
