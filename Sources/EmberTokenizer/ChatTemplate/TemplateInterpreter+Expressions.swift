/// Expressions.
extension TemplateInterpreter {
  func evaluate(_ expression: TemplateExpression) throws(TemplateFailure) -> TemplateValue {
    try nested(at: expression.line) { () throws(TemplateFailure) in
      switch expression.kind {
      case .none: .null
      case .bool(let value): .bool(value)
      case .integer(let value): .integer(value)
      case .number(let value): .number(value)
      case .text(let value): .text(value)
      case .name(let name): variable(name)
      case .list(let items): .sequence(try TemplateSequence(try evaluate(items)))
      case .tuple(let items): .sequence(try TemplateSequence(try evaluate(items), .tuple))
      case .dictionary(let pairs): try dictionary(pairs)
      case .attribute(let value, let name): try attribute(name, of: try evaluate(value))
      case .item(let value, let index):
        try item(try evaluate(index), of: try evaluate(value))
      case .slice(let value, let start, let stop, let step):
        try slice(value, start, stop, step)
      case .call(let function, let arguments): try call(function, arguments, expression.line)
      case .filter(let value, let name, let arguments):
        try filter(value, name, arguments, expression.line)
      case .test(let value, let name, let arguments):
        .bool(try test(try evaluate(value), name, try evaluate(arguments)))
      case .not(let value): .bool(try !evaluate(value).isTrue)
      case .negative(let value):
        try negated(try signed(value))
      case .positive(let value): try signed(value)
      case .and(let operands): try last(of: operands, stoppingAt: false)
      case .or(let operands): try last(of: operands, stoppingAt: true)
      case .arithmetic(let first, let rest): try arithmetic(first, rest)
      case .concatenation(let operands): .text(try concatenation(operands))
      case .comparison(let first, let rest): .bool(try comparison(first, rest))
      case .conditional(let test, let then, let otherwise):
        try conditional(test, then, otherwise)
      }
    }
  }

  func evaluate(
    _ expressions: [TemplateExpression]
  ) throws(TemplateFailure) -> [TemplateValue] {
    var values: [TemplateValue] = []
    for expression in expressions { values.append(try evaluate(expression)) }
    return values
  }

  private func evaluate(
    _ arguments: TemplateArguments
  ) throws(TemplateFailure) -> TemplateCallArguments {
    var result = TemplateCallArguments(positional: try evaluate(arguments.positional))
    for (name, value) in arguments.named { result.named.append((name, try evaluate(value))) }
    return result
  }

  private func variable(_ name: String) -> TemplateValue {
    if let value = scope.value(name) { return value }
    if let global = TemplateGlobal(rawValue: name) { return .function(.global(global)) }
    return .undefined("'\(name)'")
  }

  private func dictionary(
    _ pairs: [(key: TemplateExpression, value: TemplateExpression)]
  ) throws(TemplateFailure) -> TemplateValue {
    var dictionary = TemplateDictionary()
    for (key, value) in pairs { try dictionary.set(try evaluate(key), to: try evaluate(value)) }
    return .dictionary(dictionary)
  }

  private func negated(_ value: TemplateValue) throws(TemplateFailure) -> TemplateValue {
    if case .number(let number) = value { return .number(-number) }
    return try TemplateValue.arithmetic(.integer(0), "-", value)
  }

  private func signed(
    _ expression: TemplateExpression
  ) throws(TemplateFailure) -> TemplateValue {
    let value = try evaluate(expression)
    if let integer = value.asInteger { return .integer(integer) }
    if case .number = value { return value }
    if case .undefined(let what) = value { throw .undefined(what) }
    throw .evaluation("a sign is not for a \(value.typeName)")
  }

  /// `and` and `or` give the operand that decides, as in Python.
  private func last(
    of operands: [TemplateExpression], stoppingAt stop: Bool
  ) throws(TemplateFailure) -> TemplateValue {
    var value = TemplateValue.null
    for operand in operands {
      value = try evaluate(operand)
      if value.isTrue == stop { break }
    }
    return value
  }

  private func arithmetic(
    _ first: TemplateExpression, _ rest: [(symbol: String, operand: TemplateExpression)]
  ) throws(TemplateFailure) -> TemplateValue {
    var value = try evaluate(first)
    for (symbol, operand) in rest {
      let right = try evaluate(operand)
      value = try TemplateValue.arithmetic(value, symbol, right)
      try charge(value.weight)
    }
    if value.weight > TemplateValue.sizeLimit { throw .limit("a text is too long") }
    return value
  }

  private func concatenation(
    _ operands: [TemplateExpression]
  ) throws(TemplateFailure) -> TemplateText {
    var text = TemplateText()
    for operand in operands {
      let value = try evaluate(operand)
      try charge(value.weight)
      text += try value.text()
      if text.count > TemplateValue.sizeLimit { throw .limit("a text is too long") }
    }
    return text
  }

  private func comparison(
    _ first: TemplateExpression, _ rest: [(symbol: String, operand: TemplateExpression)]
  ) throws(TemplateFailure) -> Bool {
    var left = try evaluate(first)
    for (symbol, operand) in rest {
      let right = try evaluate(operand)
      try charge(symbol.hasSuffix("in") ? right.weight : min(left.weight, right.weight))
      if try !TemplateValue.compare(left, symbol, right) { return false }
      left = right
    }
    return true
  }

  private func conditional(
    _ test: TemplateExpression, _ then: TemplateExpression, _ otherwise: TemplateExpression?
  ) throws(TemplateFailure) -> TemplateValue {
    if try evaluate(test).isTrue { return try evaluate(then) }
    guard let otherwise else {
      return .undefined("the value of an if without else, whose condition is false,")
    }
    return try evaluate(otherwise)
  }

  private func filter(
    _ value: TemplateExpression?, _ name: String, _ arguments: TemplateArguments, _ line: Int
  ) throws(TemplateFailure) -> TemplateValue {
    let input =
      try value.map { expression throws(TemplateFailure) in try evaluate(expression) }
      ?? scope.value(Self.blockText) ?? .null
    let arguments = try evaluate(arguments)
    return try nested(at: line) { () throws(TemplateFailure) in
      try apply(name, to: input, arguments)
    }
  }

  private func call(
    _ function: TemplateExpression, _ arguments: TemplateArguments, _ line: Int
  ) throws(TemplateFailure) -> TemplateValue {
    let callee = try evaluate(function)
    let arguments = try evaluate(arguments)
    return try nested(at: line) { () throws(TemplateFailure) in
      switch callee {
      case .function(.global(let global)): try self.call(global, arguments)
      case .function(.method(let name, let owner)):
        try self.call(name, of: owner.value, arguments)
      case .function(.macro(let macro)): .text(try self.call(macro, arguments))
      case .undefined(let what): throw .undefined(what)
      default: throw .evaluation("a \(callee.typeName) cannot be called")
      }
    }
  }

  private func call(
    _ macro: TemplateMacro, _ arguments: TemplateCallArguments
  ) throws(TemplateFailure) -> TemplateText {
    let definition = macro.definition
    let values = try arguments.bound(
      to: definition.parameters.map(\.name), of: "the macro \(definition.name)")
    return try inner(of: macro.scope) { () throws(TemplateFailure) in
      for (index, parameter) in definition.parameters.enumerated() {
        if let value = values[index] {
          scope.variables[parameter.name] = value
        } else if let standard = parameter.standard {
          scope.variables[parameter.name] = try evaluate(standard)
        } else {
          scope.variables[parameter.name] = .undefined("'\(parameter.name)'")
        }
      }
      return try captured { () throws(TemplateFailure) in _ = try execute(definition.body) }
    }
  }
}
