/// The tests of Jinja: what may follow `is`.
extension TemplateInterpreter {
  func test(
    _ value: TemplateValue, _ name: String, _ arguments: TemplateCallArguments
  ) throws(TemplateFailure) -> Bool {
    func other() throws(TemplateFailure) -> TemplateValue {
      try arguments.bound(to: ["other"], required: 1, of: "the test \(name)")[0] ?? .null
    }
    switch name {
    case "equalto", "eq", "==", "ne", "!=", "lt", "lessthan", "<", "le", "<=", "gt", "greaterthan",
      ">", "ge", ">=", "in":
      let other = try other()
      try charge(min(value.weight, other.weight))
      return try TemplateValue.compare(value, Self.symbols[name] ?? name, other)
    case "sameas":
      let other = try other()
      return value.typeName == other.typeName && TemplateValue.areEqual(value, other)
    case "divisibleby":
      let other = try other()
      return try PythonNumber.remainder(
        try value.integer("divisibleby"), try other.integer("divisibleby")) == 0
    default:
      _ = try arguments.bound(to: [], of: "the test \(name)")
      return try test(value, name)
    }
  }

  private static let symbols = [
    "equalto": "==", "eq": "==", "ne": "!=", "lt": "<", "lessthan": "<", "le": "<=", "gt": ">",
    "greaterthan": ">", "ge": ">=",
  ]

  private func test(_ value: TemplateValue, _ name: String) throws(TemplateFailure) -> Bool {
    switch name {
    case "defined": return !value.isUndefined
    case "undefined": return value.isUndefined
    case "none": if case .null = value { return true }
    case "boolean": if case .bool = value { return true }
    case "true": if case .bool(true) = value { return true }
    case "false": if case .bool(false) = value { return true }
    case "integer": if case .integer = value { return true }
    case "float": if case .number = value { return true }
    case "number": return value.asNumber != nil
    case "string": if case .text = value { return true }
    case "mapping": if case .dictionary = value { return true }
    case "callable": if case .function = value { return true }
    case "iterable":
      switch value {
      case .undefined, .text, .sequence, .dictionary, .loop: return true
      default: return false
      }
    case "sequence":
      switch value {
      case .undefined, .text, .dictionary: return true
      case .sequence(let sequence): return sequence.kind == .list || sequence.kind == .tuple
      default: return false
      }
    case "odd": return try PythonNumber.remainder(try value.integer("odd"), 2) == 1
    case "even": return try PythonNumber.remainder(try value.integer("even"), 2) == 0
    case "lower", "upper":
      try charge(value.weight)
      let text = try value.text()
      let isCased = text.units.contains { TemplateText.scalar($0).properties.isCased }
      return isCased && text == (name == "lower" ? text.lowercased : text.uppercased)
    default: throw .unsupported("the test \(name)")
    }
    return false
  }
}
