/// Python's operators between values.
extension TemplateValue {
  /// The most scalars or items that one operation may make.
  static let sizeLimit = 1 << 23

  static func arithmetic(
    _ left: TemplateValue, _ symbol: String, _ right: TemplateValue
  ) throws(TemplateFailure) -> TemplateValue {
    for case .undefined(let what) in [left, right] { throw .undefined(what) }
    if let left = left.asInteger, let right = right.asInteger {
      return try integers(left, symbol, right)
    }
    if let left = left.asNumber, let right = right.asNumber {
      return .number(try numbers(left, symbol, right))
    }
    switch (symbol, left, right) {
    case ("+", .text(let left), .text(let right)):
      return .text(left + right)
    case ("+", .sequence(let left), .sequence(let right))
    where left.kind == right.kind && (left.kind == .list || left.kind == .tuple):
      return .sequence(try TemplateSequence(left.items + right.items, left.kind))
    case ("*", .text(let text), _):
      if let times = right.asInteger {
        try checkSize(text.count, times)
        return .text(text.repeated(times))
      }
    case ("*", .sequence(let sequence), _) where sequence.kind == .list || sequence.kind == .tuple:
      if let times = right.asInteger {
        try checkSize(sequence.items.count, times)
        let items = (0..<max(0, times)).flatMap { _ in sequence.items }
        return .sequence(try TemplateSequence(items, sequence.kind))
      }
    case ("*", _, .text), ("*", _, .sequence):
      if left.asInteger != nil { return try arithmetic(right, symbol, left) }
    case ("%", .text(let format), _):
      return .text(try TemplateFormat.percent(format, right))
    default: break
    }
    throw .evaluation(
      "\(symbol) is not for a \(left.typeName) and a \(right.typeName)")
  }

  private static func checkSize(_ count: Int, _ times: Int) throws(TemplateFailure) {
    let (product, overflows) = count.multipliedReportingOverflow(by: max(0, times))
    if overflows || product > sizeLimit || times > sizeLimit {
      throw .limit("a value is repeated \(times) times")
    }
  }

  private static func integers(
    _ left: Int, _ symbol: String, _ right: Int
  ) throws(TemplateFailure) -> TemplateValue {
    switch symbol {
    case "+": return .integer(try PythonNumber.checked(left.addingReportingOverflow(right)))
    case "-": return .integer(try PythonNumber.checked(left.subtractingReportingOverflow(right)))
    case "*": return .integer(try PythonNumber.checked(left.multipliedReportingOverflow(by: right)))
    case "//": return .integer(try PythonNumber.floorDivide(left, right))
    case "%": return .integer(try PythonNumber.remainder(left, right))
    case "**" where right >= 0: return .integer(try PythonNumber.power(left, right))
    default: return .number(try numbers(Double(left), symbol, Double(right)))
    }
  }

  private static func numbers(
    _ left: Double, _ symbol: String, _ right: Double
  ) throws(TemplateFailure) -> Double {
    switch symbol {
    case "+": return left + right
    case "-": return left - right
    case "*": return left * right
    case "/":
      if right == 0 { throw .evaluation("division by zero") }
      return left / right
    case "//":
      if right == 0 { throw .evaluation("division by zero") }
      return (left / right).rounded(.down)
    case "%": return try PythonNumber.remainder(left, right)
    default:
      guard right.magnitude <= 1024, let exponent = Int(exactly: right) else {
        throw .unsupported("** with the exponent \(right)")
      }
      if left == 0, exponent < 0 { throw .evaluation("division by zero") }
      var result = 1.0
      for _ in 0..<abs(exponent) { result *= left }
      return exponent < 0 ? 1 / result : result
    }
  }

  /// Python's `==`.
  static func areEqual(_ left: TemplateValue, _ right: TemplateValue) -> Bool {
    if let left = left.asInteger, let right = right.asInteger { return left == right }
    if let left = left.asNumber, let right = right.asNumber { return left == right }
    switch (left, right) {
    case (.undefined, .undefined), (.null, .null): return true
    case (.text(let left), .text(let right)): return left == right
    case (.sequence(let left), .sequence(let right)):
      return left.kind == right.kind && left.items.count == right.items.count
        && zip(left.items, right.items).allSatisfy(areEqual)
    case (.dictionary(let left), .dictionary(let right)):
      return left.count == right.count
        && left.keys.indices.allSatisfy { index in
          right[left.keys[index]].map { areEqual(left.values[index], $0) } ?? false
        }
    case (.namespace(let left), .namespace(let right)): return left === right
    default: return false
    }
  }

  /// Python's `<`.
  static func isLess(
    _ left: TemplateValue, _ right: TemplateValue
  ) throws(TemplateFailure) -> Bool {
    if let left = left.asInteger, let right = right.asInteger { return left < right }
    if let left = left.asNumber, let right = right.asNumber { return left < right }
    switch (left, right) {
    case (.text(let left), .text(let right)): return left < right
    case (.sequence(let left), .sequence(let right))
    where left.kind == right.kind && (left.kind == .list || left.kind == .tuple):
      for (one, other) in zip(left.items, right.items) where !areEqual(one, other) {
        return try isLess(one, other)
      }
      return left.items.count < right.items.count
    case (.undefined(let what), _), (_, .undefined(let what)): throw .undefined(what)
    default:
      throw .evaluation("a \(left.typeName) and a \(right.typeName) have no order")
    }
  }

  static func compare(
    _ left: TemplateValue, _ symbol: String, _ right: TemplateValue
  ) throws(TemplateFailure) -> Bool {
    switch symbol {
    case "==": areEqual(left, right)
    case "!=": !areEqual(left, right)
    case "<": try isLess(left, right)
    case ">": try isLess(right, left)
    case "<=": try isLess(left, right) || areEqual(left, right)
    case ">=": try isLess(right, left) || areEqual(left, right)
    case "in": try right.contains(left)
    default: try !right.contains(left)
    }
  }

  /// Python's `in`.
  func contains(_ value: TemplateValue) throws(TemplateFailure) -> Bool {
    switch self {
    case .text(let text):
      guard case .text(let part) = value else {
        throw .evaluation("in: expected a str to look for in a str, found a \(value.typeName)")
      }
      return text.firstRange(of: part) != nil
    case .sequence(let sequence):
      return sequence.items.contains { Self.areEqual($0, value) }
    case .dictionary(let dictionary): return dictionary[value] != nil
    case .undefined: return false
    case .loop(let loop): return loop.items.contains { Self.areEqual($0, value) }
    default: throw .evaluation("in: a \(typeName) contains nothing")
    }
  }

  /// What a loop over it would go through.
  func elements() throws(TemplateFailure) -> [TemplateValue] {
    switch self {
    case .undefined: []
    case .sequence(let sequence): sequence.items
    case .dictionary(let dictionary): dictionary.keys
    case .text(let text): text.characters.map(TemplateValue.text)
    default: throw .evaluation("a \(typeName) cannot be looped over")
    }
  }
}
