/// Builds the tree of a template, by recursive descent with the precedences of Jinja's parser.
///
/// This file has the statements; `TemplateParser+Expressions.swift` has the expressions.
struct TemplateParser {
  private let tokens: [TemplateToken]
  private var position = 0
  private var depth = 0
  private var loops = 0

  /// Deeper nesting is no real template, and recursion must end before the stack does.
  private static let depthLimit = 32
  private static let treeDepthLimit = 64

  static func parse(_ template: String) throws(ChatTemplateError) -> [TemplateStatement] {
    var parser = TemplateParser(tokens: try TemplateLexer.tokens(of: template))
    return try parser.statements(until: []).body
  }

  private init(tokens: [TemplateToken]) { self.tokens = tokens }

  // MARK: Tokens

  var current: TemplateToken { tokens[position] }

  var next: TemplateToken { tokens[min(position + 1, tokens.count - 1)] }

  mutating func advance() { position = min(position + 1, tokens.count - 1) }

  func isSymbol(_ symbol: String) -> Bool { current.kind == .symbol(symbol) }

  func isName(_ name: String) -> Bool { current.kind == .name(name) }

  mutating func take(_ kind: TemplateToken.Kind) -> Bool {
    guard current.kind == kind else { return false }
    advance()
    return true
  }

  mutating func takeSymbol(_ symbol: String) -> Bool { take(.symbol(symbol)) }

  mutating func takeName(_ name: String) -> Bool { take(.name(name)) }

  mutating func expectSymbol(_ symbol: String) throws(ChatTemplateError) {
    guard takeSymbol(symbol) else { throw unexpected("expected \(symbol)") }
  }

  mutating func expectName() throws(ChatTemplateError) -> String {
    guard case .name(let name) = current.kind else { throw unexpected("expected a name") }
    advance()
    return name
  }

  func unexpected(_ expected: String) -> ChatTemplateError {
    .syntax(line: current.line, reason: "\(expected), found \(current.words)")
  }

  /// Runs `body` one level deeper.
  mutating func nested<Result>(
    _ body: (inout TemplateParser) throws(ChatTemplateError) -> Result
  ) throws(ChatTemplateError) -> Result {
    depth += 1
    defer { depth -= 1 }
    if depth > Self.depthLimit {
      throw .limit(line: current.line, what: "it is nested deeper than \(Self.depthLimit)")
    }
    return try body(&self)
  }

  /// Part of a tree that is not too deep.
  func node(
    _ line: Int, _ kind: TemplateExpression.Kind
  ) throws(ChatTemplateError) -> TemplateExpression {
    let expression = TemplateExpression(line: line, kind: kind)
    if expression.depth > Self.treeDepthLimit {
      throw .limit(line: line, what: "an expression is deeper than \(Self.treeDepthLimit)")
    }
    return expression
  }

  // MARK: Statements

  /// Statements up to a tag of one of these names, which is taken, but not what follows the name.
  private mutating func statements(
    until ends: [String]
  ) throws(ChatTemplateError) -> (body: [TemplateStatement], end: String) {
    var body: [TemplateStatement] = []
    while true {
      switch current.kind {
      case .data(let text):
        body.append(.data(TemplateText(text)))
        advance()
      case .outputBegin:
        advance()
        body.append(.output(try tuple()))
        guard take(.outputEnd) else { throw unexpected("expected }}") }
      case .blockBegin:
        advance()
        guard case .name(let name) = current.kind else { throw unexpected("expected a tag") }
        if ends.contains(name) {
          advance()
          return (body, name)
        }
        body.append(try nested { parser throws(ChatTemplateError) in try parser.statement(name) })
        try endTag()
      case .end where ends.isEmpty:
        return (body, "")
      default:
        throw unexpected("expected \(ends.joined(separator: " or "))")
      }
    }
  }

  private mutating func endTag() throws(ChatTemplateError) {
    guard take(.blockEnd) else { throw unexpected("expected %}") }
  }

  /// The body of a tag whose head has been read.
  private mutating func body(until ends: String...) throws(ChatTemplateError) -> (
    body: [TemplateStatement], end: String
  ) {
    // Python's colon is allowed.
    _ = takeSymbol(":")
    try endTag()
    return try statements(until: ends)
  }

  private mutating func statement(
    _ name: String
  ) throws(ChatTemplateError) -> TemplateStatement {
    let line = current.line
    advance()
    switch name {
    case "if": return try condition()
    case "for": return try loop(line)
    case "set": return try set(line)
    case "macro": return try macro(line)
    case "with": return try with(line)
    case "filter":
      let filter = try filters(of: nil, line: line, beginsInline: true)
      let body = try body(until: "endfilter").body
      return .filterBlock(filter, body)
    case "generation":
      return .generation(try body(until: "endgeneration").body)
    case "break", "continue":
      if loops == 0 { throw .syntax(line: line, reason: "\(name) outside a loop") }
      return name == "break" ? .leaveLoop : .nextRound
    case "else", "elif", "endif", "endfor", "endset", "endmacro", "endwith", "endfilter",
      "endgeneration":
      throw .syntax(line: line, reason: "\(name) without its beginning")
    default:
      throw .unsupported(line: line, what: "the tag \(name)")
    }
  }

  private mutating func condition() throws(ChatTemplateError) -> TemplateStatement {
    var branches: [(test: TemplateExpression, body: [TemplateStatement])] = []
    while true {
      let test = try tuple(allowsConditional: false)
      let (body, end) = try body(until: "elif", "else", "endif")
      branches.append((test, body))
      switch end {
      case "elif": continue
      case "else":
        return .condition(branches, else: try self.body(until: "endif").body)
      default: return .condition(branches, else: [])
      }
    }
  }

  private mutating func loop(_ line: Int) throws(ChatTemplateError) -> TemplateStatement {
    let target = try target(allowsAttribute: false)
    guard takeName("in") else { throw unexpected("expected in") }
    let sequence = try tuple(allowsConditional: false)
    let condition = takeName("if") ? try expression() : nil
    if isName("recursive") { throw .unsupported(line: line, what: "recursive loops") }
    loops += 1
    let (body, end) = try body(until: "endfor", "else")
    loops -= 1
    let otherwise = end == "else" ? try self.body(until: "endfor").body : []
    return .loop(
      .init(
        target: target, sequence: sequence, condition: condition, body: body,
        otherwise: otherwise, line: line))
  }

  private mutating func set(_ line: Int) throws(ChatTemplateError) -> TemplateStatement {
    let target = try target(allowsAttribute: true)
    if takeSymbol("=") { return .set(target, try tuple(), line: line) }
    let filter =
      isSymbol("|") ? try filters(of: nil, line: line, beginsInline: false) : nil
    return .setBlock(target, try body(until: "endset").body, filter: filter, line: line)
  }

  private mutating func macro(_ line: Int) throws(ChatTemplateError) -> TemplateStatement {
    let name = try expectName()
    var parameters: [(name: String, standard: TemplateExpression?)] = []
    try expectSymbol("(")
    while !isSymbol(")") {
      if !parameters.isEmpty { try expectSymbol(",") }
      let parameter = try expectName()
      let standard = takeSymbol("=") ? try expression() : nil
      if standard == nil, parameters.last?.standard != nil {
        throw .syntax(line: line, reason: "a parameter without a default after one with it")
      }
      parameters.append((parameter, standard))
    }
    try expectSymbol(")")
    let outerLoops = loops
    loops = 0
    defer { loops = outerLoops }
    let body = try body(until: "endmacro").body
    return .macro(.init(name: name, parameters: parameters, body: body, line: line))
  }

  private mutating func with(_ line: Int) throws(ChatTemplateError) -> TemplateStatement {
    var assignments: [(TemplateTarget, TemplateExpression)] = []
    while current.kind != .blockEnd {
      if !assignments.isEmpty { try expectSymbol(",") }
      let target = try target(allowsAttribute: false)
      try expectSymbol("=")
      assignments.append((target, try expression()))
    }
    return .with(assignments, try body(until: "endwith").body, line: line)
  }

  /// `a`, `a.b` or `a, (b, c)`
  private mutating func target(
    allowsAttribute: Bool
  ) throws(ChatTemplateError) -> TemplateTarget {
    var targets: [TemplateTarget] = []
    var isTuple = false
    repeat {
      if takeSymbol("(") {
        targets.append(
          try nested { parser throws(ChatTemplateError) in
            try parser.target(allowsAttribute: allowsAttribute)
          })
        try expectSymbol(")")
      } else if targets.isEmpty || !(isName("in") || isSymbol("=")) {
        let line = current.line
        let name = try expectName()
        if ["true", "false", "none", "True", "False", "None"].contains(name) {
          throw .syntax(line: line, reason: "\(name) cannot be assigned to")
        }
        if allowsAttribute, takeSymbol(".") {
          targets.append(.attribute(of: name, try expectName()))
        } else {
          targets.append(.name(name))
        }
      }
      if isSymbol(",") { isTuple = true }
    } while takeSymbol(",")
    return isTuple ? .tuple(targets) : targets[0]
  }
}
