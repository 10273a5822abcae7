/// Cuts a template into tokens, by the rules of Jinja's lexer with `trim_blocks` and
/// `lstrip_blocks`: the first newline after a block disappears, and so does the white space between
/// the beginning of a line and a block. `-` beside a bracket takes all white space on its side, `+`
/// none.
struct TemplateLexer {
  private let source: [UInt32]
  private var position = 0
  private var line = 1
  private var tokens: [TemplateToken] = []
  /// Whether what came before ended a line.
  private var isAtLineStart = true

  /// Real templates have some ten thousand characters.
  static let sourceLimit = 1 << 20

  static func tokens(of template: String) throws(ChatTemplateError) -> [TemplateToken] {
    var lexer = try TemplateLexer(template)
    try lexer.run()
    return lexer.tokens
  }

  private init(_ template: String) throws(ChatTemplateError) {
    guard template.utf8.count <= Self.sourceLimit else {
      throw .limit(
        line: 1, what: "it has \(template.utf8.count) bytes, expected at most \(Self.sourceLimit)")
    }
    var source: [UInt32] = []
    source.reserveCapacity(template.utf8.count)
    var previous: UInt32 = 0
    for scalar in template.unicodeScalars {
      // All line ends become \n.
      if !(scalar == "\n" && previous == 0x0D) {
        source.append(scalar == "\r" ? 0x0A : scalar.value)
      }
      previous = scalar.value
    }
    // One at the end is not part of the template.
    if source.last == 0x0A { source.removeLast() }
    self.source = source
  }

  // MARK: Text and tags

  private mutating func run() throws(ChatTemplateError) {
    while position < source.count {
      let start = position
      guard let open = nextTag(from: position) else {
        emitData(start..<source.count)
        position = source.count
        break
      }
      let kind = source[open + 1]
      let sign = open + 2 < source.count ? source[open + 2] : 0
      let isOutput = kind == Self.brace
      emitData(start..<textEnd(start..<open, sign: sign, keepsIndentation: isOutput))
      line += newlines(in: dataEnd..<open)
      position = open + 2
      if sign == Self.minus || sign == Self.plus { position += 1 }
      isAtLineStart = false
      switch kind {
      case Self.hash: try skipComment()
      case Self.percent where try takeRaw(): break
      default: try lexTag(isOutput: isOutput)
      }
    }
    tokens.append(TemplateToken(kind: .end, line: line))
  }

  private static let brace = UInt32(0x7B)
  private static let closingBrace = UInt32(0x7D)
  private static let percent = UInt32(0x25)
  private static let hash = UInt32(0x23)
  private static let minus = UInt32(0x2D)
  private static let plus = UInt32(0x2B)
  private static let newline = UInt32(0x0A)

  private func nextTag(from start: Int) -> Int? {
    var index = start
    while index + 1 < source.count {
      if source[index] == Self.brace,
        [Self.brace, Self.percent, Self.hash].contains(source[index + 1])
      {
        return index
      }
      index += 1
    }
    return nil
  }

  /// Where the text before a tag ends.
  private func textEnd(_ text: Range<Int>, sign: UInt32, keepsIndentation: Bool) -> Int {
    var end = text.upperBound
    if sign == Self.minus {
      while end > text.lowerBound, TemplateText.isSpace(source[end - 1]) { end -= 1 }
      return end
    }
    if sign == Self.plus || keepsIndentation { return end }
    while end > text.lowerBound, TemplateText.isSpace(source[end - 1]),
      source[end - 1] != Self.newline
    {
      end -= 1
    }
    let isWholeLine =
      end > text.lowerBound ? source[end - 1] == Self.newline : isAtLineStart
    return isWholeLine ? end : text.upperBound
  }

  /// Where the last text ended.
  private var dataEnd = 0

  private mutating func emitData(_ range: Range<Int>) {
    dataEnd = range.upperBound
    if range.isEmpty { return }
    tokens.append(
      TemplateToken(kind: .data(TemplateText(units: source[range]).string), line: line))
    line += newlines(in: range)
  }

  private func newlines(in range: Range<Int>) -> Int {
    source[range].count { $0 == Self.newline }
  }

  private func starts(with text: String, at index: Int) -> Bool {
    var index = index
    for scalar in text.unicodeScalars {
      guard index < source.count, source[index] == scalar.value else { return false }
      index += 1
    }
    return true
  }

  private mutating func advance(to end: Int) {
    line += newlines(in: position..<end)
    isAtLineStart = end > 0 && source[end - 1] == Self.newline
    position = end
  }

  /// The end of a closing bracket at `index`, white space that it takes included; nil if there is
  /// none.
  private func closing(_ bracket: String, at index: Int, trimsNewline: Bool) -> Int? {
    if starts(with: "-" + bracket, at: index) {
      var end = index + 1 + bracket.unicodeScalars.count
      while end < source.count, TemplateText.isSpace(source[end]) { end += 1 }
      return end
    }
    if trimsNewline, starts(with: "+" + bracket, at: index) {
      return index + 1 + bracket.unicodeScalars.count
    }
    guard starts(with: bracket, at: index) else { return nil }
    let end = index + bracket.unicodeScalars.count
    let takesNewline = trimsNewline && end < source.count && source[end] == Self.newline
    return takesNewline ? end + 1 : end
  }

  private mutating func skipComment() throws(ChatTemplateError) {
    for index in position..<source.count {
      guard let end = closing("#}", at: index, trimsNewline: true) else { continue }
      return advance(to: end)
    }
    throw .syntax(line: line, reason: "a comment has no end")
  }

  /// `{% raw %}` … `{% endraw %}` is text.
  private mutating func takeRaw() throws(ChatTemplateError) -> Bool {
    func word(_ word: String, at index: Int) -> Int? {
      var index = index
      while index < source.count, TemplateText.isSpace(source[index]) { index += 1 }
      guard starts(with: word, at: index) else { return nil }
      index += word.unicodeScalars.count
      while index < source.count, TemplateText.isSpace(source[index]) { index += 1 }
      return index
    }
    guard let name = word("raw", at: position),
      // The opening tag leaves its newline alone.
      let end = closing("%}", at: name, trimsNewline: false)
    else { return false }
    advance(to: end)
    let start = position
    var index = start
    while index < source.count {
      if starts(with: "{%", at: index) {
        let sign = index + 2 < source.count ? source[index + 2] : 0
        let hasSign = sign == Self.minus || sign == Self.plus
        if let after = word("endraw", at: index + (hasSign ? 3 : 2)),
          let close = closing("%}", at: after, trimsNewline: true)
        {
          emitData(start..<textEnd(start..<index, sign: sign, keepsIndentation: false))
          line += newlines(in: dataEnd..<index)
          position = index
          advance(to: close)
          return true
        }
      }
      index += 1
    }
    throw .syntax(line: line, reason: "raw has no endraw")
  }

  // MARK: Inside a tag

  private mutating func lexTag(isOutput: Bool) throws(ChatTemplateError) {
    tokens.append(TemplateToken(kind: isOutput ? .outputBegin : .blockBegin, line: line))
    let begin = line
    var open: [String] = []
    while position < source.count {
      if open.isEmpty,
        let end = closing(isOutput ? "}}" : "%}", at: position, trimsNewline: !isOutput)
      {
        tokens.append(TemplateToken(kind: isOutput ? .outputEnd : .blockEnd, line: line))
        return advance(to: end)
      }
      let unit = source[position]
      if TemplateText.isSpace(unit) {
        advance(to: position + 1)
      } else if isDigit(unit) {
        try lexNumber()
      } else if isNameStart(unit) {
        let end = source[position...].firstIndex { !isNameStart($0) && !isDigit($0) }
        let range = position..<(end ?? source.count)
        add(.name(TemplateText(units: source[range]).string), range.upperBound)
      } else if unit == 0x27 || unit == 0x22 {
        try lexString()
      } else {
        try lexSymbol(&open)
      }
    }
    throw .syntax(line: begin, reason: "a tag has no end")
  }

  private mutating func add(_ kind: TemplateToken.Kind, _ end: Int) {
    tokens.append(TemplateToken(kind: kind, line: line))
    advance(to: end)
  }

  private func isDigit(_ unit: UInt32) -> Bool { unit >= 0x30 && unit <= 0x39 }

  private func isNameStart(_ unit: UInt32) -> Bool {
    if unit < 0x80 { return unit == 0x5F || (unit | 0x20 >= 0x61 && unit | 0x20 <= 0x7A) }
    return TemplateText.scalar(unit).properties.isXIDContinue
  }

  private mutating func lexSymbol(_ open: inout [String]) throws(ChatTemplateError) {
    let long = ["**", "//", "==", "!=", "<=", ">="].first { starts(with: $0, at: position) }
    if let long { return add(.symbol(long), position + 2) }
    let symbol = String(TemplateText.scalar(source[position]))
    guard "+-/*%~[](){}<>=.:|,;".contains(symbol) else {
      throw .syntax(line: line, reason: "unexpected character \(symbol)")
    }
    let pairs = ["(": ")", "[": "]", "{": "}"]
    if let close = pairs[symbol] {
      open.append(close)
    } else if pairs.values.contains(symbol) {
      guard let expected = open.popLast() else {
        throw .syntax(line: line, reason: "unexpected \(symbol)")
      }
      if expected != symbol {
        throw .syntax(line: line, reason: "unexpected \(symbol), expected \(expected)")
      }
    }
    add(.symbol(symbol), position + 1)
  }

  private mutating func lexNumber() throws(ChatTemplateError) {
    var end = position
    func digits() {
      while end < source.count, isDigit(source[end]) || source[end] == 0x5F { end += 1 }
    }
    digits()
    var isDecimal = false
    // A point without digits behind it is something else.
    if end + 1 < source.count, source[end] == 0x2E, isDigit(source[end + 1]) {
      isDecimal = true
      end += 1
      digits()
    }
    if end < source.count, source[end] | 0x20 == 0x65 {
      var exponent = end + 1
      if exponent < source.count, [Self.plus, Self.minus].contains(source[exponent]) {
        exponent += 1
      }
      if exponent < source.count, isDigit(source[exponent]) {
        isDecimal = true
        end = exponent
        digits()
      }
    }
    let text = TemplateText(units: source[position..<end].filter { $0 != 0x5F }).string
    if isDecimal, let value = Double(text) {
      add(.number(value), end)
    } else if let value = Int(text) {
      add(.integer(value), end)
    } else {
      throw .limit(line: line, what: "the number \(text) is too large")
    }
  }

  private mutating func lexString() throws(ChatTemplateError) {
    let quote = source[position]
    var text = TemplateText()
    var index = position + 1
    while index < source.count, source[index] != quote {
      if source[index] == 0x5C {
        index = try lexEscape(at: index + 1, into: &text)
      } else {
        text.append(TemplateText.scalar(source[index]))
        index += 1
      }
    }
    guard index < source.count else { throw .syntax(line: line, reason: "a string has no end") }
    add(.string(text.string), index + 1)
  }

  /// Python's escapes. Returns the index behind it.
  private func lexEscape(
    at index: Int, into text: inout TemplateText
  ) throws(ChatTemplateError) -> Int {
    guard index < source.count else { throw .syntax(line: line, reason: "a string has no end") }
    let simple: [Unicode.Scalar: Unicode.Scalar] = [
      "n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", "\"": "\"", "a": "\u{07}",
      "b": "\u{08}", "f": "\u{0C}", "v": "\u{0B}",
    ]
    let scalar = TemplateText.scalar(source[index])
    if let meant = simple[scalar] {
      text.append(meant)
      return index + 1
    }
    if scalar == "\n" { return index + 1 }
    let lengths: [Unicode.Scalar: Int] = ["x": 2, "u": 4, "U": 8]
    if let length = lengths[scalar] {
      let digits = source[min(index + 1, source.count)..<min(index + 1 + length, source.count)]
      guard digits.count == length,
        let value = UInt32(TemplateText(units: digits).string, radix: 16),
        let meant = Unicode.Scalar(value)
      else { throw .syntax(line: line, reason: "a string with a broken escape") }
      text.append(meant)
      return index + 1 + length
    }
    if scalar.value >= 0x30, scalar.value <= 0x37 {
      var (value, end) = (UInt32(0), index)
      while end < min(index + 3, source.count), source[end] >= 0x30, source[end] <= 0x37 {
        value = value * 8 + source[end] - 0x30
        end += 1
      }
      text.append(Unicode.Scalar(value) ?? "\u{FFFD}")
      return end
    }
    if scalar == "N" { throw .unsupported(line: line, what: "the escape \\N") }
    // Others are no escapes.
    text.append("\\")
    text.append(scalar)
    return index + 1
  }
}
