/// Walks a template's tree and writes its text.
///
/// A template comes from a stranger's file: it can reach nothing but the values that it was given,
/// and everything it does costs steps, of which there are enough for any real template. Python's
/// semantics hold as far as chat templates can tell.
///
/// This file has the statements. Expressions, filters, tests and methods are in extensions.
final class TemplateInterpreter {
  /// Where the values were when something failed.
  private(set) var line = 1
  private(set) var output = TemplateText()
  var scope: TemplateScope
  private var stepsLeft: Int
  private var depth = 0
  let clock: TemplateClock

  /// Levels of statements, expressions and macros together.
  private static let depthLimit = 256

  /// - Parameter variables: what the template sees.
  init(_ variables: [String: TemplateValue], clock: TemplateClock) {
    scope = TemplateScope(parent: nil)
    scope.variables = variables
    self.clock = clock
    // A real template takes some hundred steps for a message, and a few for each of its characters.
    stepsLeft = variables.values.reduce(1_000_000) { $0 + $1.weight }
  }

  func run(_ statements: [TemplateStatement]) throws(ChatTemplateError) -> TemplateText {
    // Macros hold the scope that holds them.
    defer { scope.variables.removeAll() }
    do throws(TemplateFailure) {
      _ = try execute(statements)
      return output
    } catch {
      throw describe(error)
    }
  }

  private func describe(_ failure: TemplateFailure) -> ChatTemplateError {
    switch failure {
    case .evaluation(let reason): .evaluation(line: line, reason: reason)
    case .unsupported(let what): .unsupported(line: line, what: what)
    case .refused(let message): .refused(message: message)
    case .limit(let what): .limit(line: line, what: what)
    }
  }

  // MARK: Limits

  /// Pays for work on so many scalars or values.
  func charge(_ count: Int = 0) throws(TemplateFailure) {
    stepsLeft -= 1 + count / 16
    if stepsLeft < 0 { throw .limit("it takes more steps than any real template needs") }
  }

  /// Runs `body` one level deeper, at a line.
  func nested<Result>(
    at line: Int?, _ body: () throws(TemplateFailure) -> Result
  ) throws(TemplateFailure) -> Result {
    if let line { self.line = line }
    depth += 1
    defer { depth -= 1 }
    if depth > Self.depthLimit { throw .limit("it is nested deeper than \(Self.depthLimit)") }
    try charge()
    return try body()
  }

  // MARK: Statements

  /// How a list of statements ended.
  enum Flow {
    case normal, leaveLoop, nextRound
  }

  func execute(_ statements: [TemplateStatement]) throws(TemplateFailure) -> Flow {
    for statement in statements {
      let flow = try nested(at: nil) { () throws(TemplateFailure) in try execute(statement) }
      if flow != .normal { return flow }
    }
    return .normal
  }

  private func execute(_ statement: TemplateStatement) throws(TemplateFailure) -> Flow {
    switch statement {
    case .data(let text): try write(text)
    case .output(let expression):
      line = expression.line
      let value = try evaluate(expression)
      try charge(value.weight)
      try write(try value.text())
    case .set(let target, let expression, let line):
      self.line = line
      try assign(try evaluate(expression), to: target)
    case .setBlock(let target, let body, let filter, let line):
      self.line = line
      let text = try captured { () throws(TemplateFailure) in
        _ = try inner { () throws(TemplateFailure) in try execute(body) }
      }
      try assign(try filtered(.text(text), by: filter), to: target)
    case .condition(let branches, let otherwise):
      for (test, body) in branches where try evaluate(test).isTrue { return try execute(body) }
      return try execute(otherwise)
    case .loop(let loop): try execute(loop)
    case .macro(let definition):
      scope.variables[definition.name] = .function(
        .macro(TemplateMacro(definition, scope: scope)))
    case .filterBlock(let filter, let body):
      let text = try captured { () throws(TemplateFailure) in
        _ = try inner { () throws(TemplateFailure) in try execute(body) }
      }
      try write(try filtered(.text(text), by: filter).text())
    case .with(let assignments, let body, let line):
      self.line = line
      return try inner { () throws(TemplateFailure) in
        for (target, expression) in assignments {
          try assign(try evaluate(expression), to: target)
        }
        return try execute(body)
      }
    case .generation(let body):
      return try inner { () throws(TemplateFailure) in try execute(body) }
    case .leaveLoop: return .leaveLoop
    case .nextRound: return .nextRound
    }
    return .normal
  }

  private func write(_ text: TemplateText) throws(TemplateFailure) {
    try charge(text.count)
    if output.count + text.count > TemplateValue.sizeLimit { throw .limit("its text is too long") }
    output += text
  }

  /// What `body` writes.
  func captured(
    _ body: () throws(TemplateFailure) -> Void
  ) throws(TemplateFailure) -> TemplateText {
    let outer = output
    output = TemplateText()
    defer { output = outer }
    try body()
    return output
  }

  /// Runs `body` with variables of its own.
  func inner<Result>(
    of parent: TemplateScope? = nil, _ body: () throws(TemplateFailure) -> Result
  ) throws(TemplateFailure) -> Result {
    let outer = scope
    scope = TemplateScope(parent: parent ?? outer)
    defer { scope = outer }
    return try body()
  }

  private func filtered(
    _ value: TemplateValue, by filter: TemplateExpression?
  ) throws(TemplateFailure) -> TemplateValue {
    guard let filter else { return value }
    return try inner { () throws(TemplateFailure) in
      scope.variables[Self.blockText] = value
      return try evaluate(filter)
    }
  }

  /// Not a name that a template can write.
  static let blockText = "{block}"

  private func execute(_ loop: TemplateStatement.Loop) throws(TemplateFailure) {
    line = loop.line
    var items = try evaluate(loop.sequence).elements()
    try charge(items.count)
    if let condition = loop.condition {
      var kept: [TemplateValue] = []
      for item in items {
        try charge()
        let isKept = try inner { () throws(TemplateFailure) in
          try assign(item, to: loop.target)
          return try evaluate(condition).isTrue
        }
        if isKept { kept.append(item) }
      }
      items = kept
    }
    if items.isEmpty {
      _ = try inner { () throws(TemplateFailure) in try execute(loop.otherwise) }
      return
    }
    let state = TemplateLoop(items)
    for (index, item) in items.enumerated() {
      try charge()
      state.index = index
      let flow = try inner { () throws(TemplateFailure) in
        scope.variables["loop"] = .loop(state)
        try assign(item, to: loop.target)
        return try execute(loop.body)
      }
      if flow == .leaveLoop { break }
    }
  }

  private func assign(
    _ value: TemplateValue, to target: TemplateTarget
  ) throws(TemplateFailure) {
    switch target {
    case .name(let name): scope.variables[name] = value
    case .attribute(let owner, let name):
      guard case .namespace(let namespace)? = scope.value(owner) else {
        throw .evaluation("cannot set an attribute of \(owner), which is no namespace")
      }
      try set(name, of: namespace, to: value)
    case .tuple(let targets):
      let items = try value.elements()
      guard items.count == targets.count else {
        throw .evaluation("expected \(targets.count) values to assign, found \(items.count)")
      }
      for (target, item) in zip(targets, items) { try assign(item, to: target) }
    }
  }

  func set(
    _ name: String, of namespace: TemplateNamespace, to value: TemplateValue
  ) throws(TemplateFailure) {
    if name.hasPrefix("_") {
      throw .evaluation("attributes of a namespace cannot begin with _, found \(name)")
    }
    // Checks that it is a tree.
    _ = try TemplateSequence.measure([value])
    namespace.attributes[name] = value
  }
}
