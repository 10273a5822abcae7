/// Expressions, from what binds least to what binds most.
extension TemplateParser {
  /// One expression, or several with commas between: a tuple.
  mutating func tuple(
    allowsConditional: Bool = true, isInParentheses: Bool = false
  ) throws(ChatTemplateError) -> TemplateExpression {
    let line = current.line
    var items: [TemplateExpression] = []
    var isTuple = false
    while true {
      if isSymbol(")") || current.kind == .outputEnd || current.kind == .blockEnd { break }
      items.append(try allowsConditional ? expression() : or())
      guard takeSymbol(",") else { break }
      isTuple = true
    }
    if !isTuple, let only = items.first { return only }
    if !isTuple, !isInParentheses { throw unexpected("expected an expression") }
    return try node(line, .tuple(items))
  }

  mutating func expression() throws(ChatTemplateError) -> TemplateExpression {
    try nested { parser throws(ChatTemplateError) in try parser.conditional() }
  }

  private mutating func conditional() throws(ChatTemplateError) -> TemplateExpression {
    var value = try or()
    while isName("if") {
      let line = current.line
      advance()
      let test = try or()
      let otherwise = takeName("else") ? try expression() : nil
      value = try node(line, .conditional(test, then: value, otherwise: otherwise))
    }
    return value
  }

  private mutating func or() throws(ChatTemplateError) -> TemplateExpression {
    let line = current.line
    var operands = [try and()]
    while takeName("or") { operands.append(try and()) }
    return operands.count == 1 ? operands[0] : try node(line, .or(operands))
  }

  private mutating func and() throws(ChatTemplateError) -> TemplateExpression {
    let line = current.line
    var operands = [try not()]
    while takeName("and") { operands.append(try not()) }
    return operands.count == 1 ? operands[0] : try node(line, .and(operands))
  }

  private mutating func not() throws(ChatTemplateError) -> TemplateExpression {
    let line = current.line
    var count = 0
    while takeName("not") { count += 1 }
    let operand = try comparison()
    if count == 0 { return operand }
    let once = TemplateExpression(line: line, kind: .not(operand))
    return count % 2 == 1 ? once : try node(line, .not(once))
  }

  private mutating func comparison() throws(ChatTemplateError) -> TemplateExpression {
    let line = current.line
    let first = try sum()
    var rest: [(symbol: String, operand: TemplateExpression)] = []
    while true {
      if case .symbol(let symbol) = current.kind,
        ["==", "!=", "<", "<=", ">", ">="].contains(symbol)
      {
        advance()
        rest.append((symbol, try sum()))
      } else if takeName("in") {
        rest.append(("in", try sum()))
      } else if isName("not"), next.kind == .name("in") {
        advance()
        advance()
        rest.append(("not in", try sum()))
      } else {
        return rest.isEmpty ? first : try node(line, .comparison(first, rest))
      }
    }
  }

  private mutating func arithmetic(
    _ symbols: [String],
    _ operand: (inout TemplateParser) throws(ChatTemplateError) -> TemplateExpression
  ) throws(ChatTemplateError) -> TemplateExpression {
    let line = current.line
    let first = try operand(&self)
    var rest: [(symbol: String, operand: TemplateExpression)] = []
    while case .symbol(let symbol) = current.kind, symbols.contains(symbol) {
      advance()
      rest.append((symbol, try operand(&self)))
    }
    return rest.isEmpty ? first : try node(line, .arithmetic(first, rest))
  }

  private mutating func sum() throws(ChatTemplateError) -> TemplateExpression {
    try arithmetic(["+", "-"]) { parser throws(ChatTemplateError) in try parser.concatenation() }
  }

  private mutating func concatenation() throws(ChatTemplateError) -> TemplateExpression {
    let line = current.line
    var operands = [try product()]
    while takeSymbol("~") { operands.append(try product()) }
    return operands.count == 1 ? operands[0] : try node(line, .concatenation(operands))
  }

  private mutating func product() throws(ChatTemplateError) -> TemplateExpression {
    try arithmetic(["*", "/", "//", "%"]) { parser throws(ChatTemplateError) in
      try parser.power()
    }
  }

  private mutating func power() throws(ChatTemplateError) -> TemplateExpression {
    try arithmetic(["**"]) { parser throws(ChatTemplateError) in try parser.unary() }
  }

  private mutating func unary(
    allowsFilters: Bool = true
  ) throws(ChatTemplateError) -> TemplateExpression {
    let line = current.line
    var value: TemplateExpression
    if isSymbol("-") || isSymbol("+") {
      let isNegative = isSymbol("-")
      advance()
      let operand = try nested { parser throws(ChatTemplateError) in
        try parser.unary(allowsFilters: false)
      }
      value = try node(line, isNegative ? .negative(operand) : .positive(operand))
    } else {
      value = try primary()
    }
    value = try postfix(of: value)
    return allowsFilters ? try filtersAndTests(of: value) : value
  }

  private mutating func primary() throws(ChatTemplateError) -> TemplateExpression {
    let line = current.line
    func literal(_ kind: TemplateExpression.Kind) -> TemplateExpression {
      .init(line: line, kind: kind)
    }
    switch current.kind {
    case .name(let name):
      advance()
      switch name {
      case "true", "True": return literal(.bool(true))
      case "false", "False": return literal(.bool(false))
      case "none", "None": return literal(.none)
      default: return literal(.name(name))
      }
    case .string(var text):
      advance()
      while case .string(let more) = current.kind {
        text += more
        advance()
      }
      return literal(.text(TemplateText(text)))
    case .integer(let value):
      advance()
      return literal(.integer(value))
    case .number(let value):
      advance()
      return literal(.number(value))
    case .symbol("("):
      advance()
      let value = try nested { parser throws(ChatTemplateError) in
        try parser.tuple(isInParentheses: true)
      }
      try expectSymbol(")")
      return value
    case .symbol("["):
      advance()
      return try node(line, .list(try items(until: "]")))
    case .symbol("{"):
      advance()
      return try node(line, .dictionary(try pairs()))
    default:
      throw unexpected("expected an expression")
    }
  }

  private mutating func items(until end: String) throws(ChatTemplateError) -> [TemplateExpression] {
    var items: [TemplateExpression] = []
    while !isSymbol(end) {
      if !items.isEmpty { try expectSymbol(",") }
      if isSymbol(end) { break }
      items.append(try expression())
    }
    try expectSymbol(end)
    return items
  }

  private mutating func pairs() throws(ChatTemplateError) -> [(
    key: TemplateExpression, value: TemplateExpression
  )] {
    var pairs: [(key: TemplateExpression, value: TemplateExpression)] = []
    while !isSymbol("}") {
      if !pairs.isEmpty { try expectSymbol(",") }
      if isSymbol("}") { break }
      let key = try expression()
      try expectSymbol(":")
      pairs.append((key, try expression()))
    }
    try expectSymbol("}")
    return pairs
  }

  // MARK: What follows a value

  private mutating func postfix(
    of value: TemplateExpression
  ) throws(ChatTemplateError) -> TemplateExpression {
    var value = value
    while true {
      let line = current.line
      if takeSymbol(".") {
        if case .integer(let index) = current.kind {
          advance()
          value = try node(line, .item(value, try node(line, .integer(index))))
        } else {
          value = try node(line, .attribute(value, try expectName()))
        }
      } else if takeSymbol("[") {
        value = try subscripted(value, line)
      } else if isSymbol("(") {
        value = try node(line, .call(value, try arguments()))
      } else {
        return value
      }
    }
  }

  /// `[index]` or `[start:stop:step]`
  private mutating func subscripted(
    _ value: TemplateExpression, _ line: Int
  ) throws(ChatTemplateError) -> TemplateExpression {
    let start = isSymbol(":") ? nil : try expression()
    if let start, takeSymbol("]") { return try node(line, .item(value, start)) }
    if isSymbol(",") { throw .unsupported(line: line, what: "several indices") }
    try expectSymbol(":")
    let stop = isSymbol(":") || isSymbol("]") ? nil : try expression()
    let step = takeSymbol(":") && !isSymbol("]") ? try expression() : nil
    try expectSymbol("]")
    return try node(line, .slice(value, start: start, stop: stop, step: step))
  }

  private mutating func arguments() throws(ChatTemplateError) -> TemplateArguments {
    var arguments = TemplateArguments()
    try expectSymbol("(")
    var isFirst = true
    while !isSymbol(")") {
      if !isFirst { try expectSymbol(",") }
      isFirst = false
      if isSymbol(")") { break }
      if isSymbol("*") || isSymbol("**") {
        throw .unsupported(line: current.line, what: "arguments with * or **")
      }
      if case .name(let name) = current.kind, next.kind == .symbol("=") {
        advance()
        advance()
        arguments.named.append((name, try expression()))
      } else if arguments.named.isEmpty {
        arguments.positional.append(try expression())
      } else {
        throw .syntax(line: current.line, reason: "an argument without a name after one with it")
      }
    }
    try expectSymbol(")")
    return arguments
  }

  private mutating func filtersAndTests(
    of value: TemplateExpression
  ) throws(ChatTemplateError) -> TemplateExpression {
    var value = value
    while true {
      let line = current.line
      if isSymbol("|") {
        value = try filters(of: value, line: line, beginsInline: false)
      } else if isName("is") {
        value = try test(of: value, line)
      } else if isSymbol("(") {
        value = try node(line, .call(value, try arguments()))
      } else {
        return value
      }
    }
  }

  /// `|name(arguments)`, as often as there are more.
  mutating func filters(
    of value: TemplateExpression?, line: Int, beginsInline: Bool
  ) throws(ChatTemplateError) -> TemplateExpression {
    var value = value
    var isInline = beginsInline
    while isInline || takeSymbol("|") {
      isInline = false
      let line = current.line
      let name = try expectName()
      let arguments = isSymbol("(") ? try arguments() : TemplateArguments()
      value = try node(line, .filter(value, name, arguments))
    }
    guard let value else { throw unexpected("expected a filter") }
    return value
  }

  private mutating func test(
    of value: TemplateExpression, _ line: Int
  ) throws(ChatTemplateError) -> TemplateExpression {
    advance()
    let isNegated = takeName("not")
    let name = try expectName()
    var arguments = TemplateArguments()
    if isSymbol("(") {
      arguments = try self.arguments()
    } else if beginsTestArgument {
      if isName("is") { throw .syntax(line: line, reason: "a test of a test") }
      let argument = try primary()
      arguments.positional = [try postfix(of: argument)]
    }
    let test = TemplateExpression(line: line, kind: .test(value, name, arguments))
    return isNegated ? try node(line, .not(test)) : test
  }

  private var beginsTestArgument: Bool {
    switch current.kind {
    case .name(let name): !["else", "or", "and"].contains(name)
    case .string, .integer, .number, .symbol("["), .symbol("{"): true
    default: false
    }
  }
}
