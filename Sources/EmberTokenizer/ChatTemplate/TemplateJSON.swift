/// The filter `tojson` as transformers defines it: Python's `json.dumps`, without escapes for HTML.
struct TemplateJSON {
  var escapesNonASCII = false
  /// What each level is indented by; nil for one line.
  var indentation: TemplateText?
  var itemSeparator: TemplateText = ", "
  var keySeparator: TemplateText = ": "
  var sortsKeys = false

  func text(_ value: TemplateValue) throws(TemplateFailure) -> TemplateText {
    var result = TemplateText()
    try write(value, level: 0, to: &result)
    return result
  }

  private func write(
    _ value: TemplateValue, level: Int, to result: inout TemplateText
  ) throws(TemplateFailure) {
    switch value {
    case .null: result += "null"
    case .bool(let value): result += value ? "true" : "false"
    case .integer(let value): result += TemplateText("\(value)")
    case .number(let value): result += TemplateText(Self.number(value))
    case .text(let text): write(text, to: &result)
    case .sequence(let sequence) where sequence.kind == .list || sequence.kind == .tuple:
      try writeItems("[", "]", sequence.items.count, level, &result) {
        index, result throws(TemplateFailure) in
        try write(sequence.items[index], level: level + 1, to: &result)
      }
    case .dictionary(let dictionary):
      let order = try order(of: dictionary)
      try writeItems("{", "}", order.count, level, &result) {
        index, result throws(TemplateFailure) in
        write(try Self.key(dictionary.keys[order[index]]), to: &result)
        result += keySeparator
        try write(dictionary.values[order[index]], level: level + 1, to: &result)
      }
    default:
      throw .evaluation("\(value.typeName) cannot be written as JSON")
    }
  }

  private func writeItems(
    _ open: TemplateText, _ close: TemplateText, _ count: Int, _ level: Int,
    _ result: inout TemplateText,
    _ item: (Int, inout TemplateText) throws(TemplateFailure) -> Void
  ) throws(TemplateFailure) {
    result += open
    for index in 0..<count {
      if index > 0 { result += itemSeparator }
      newLine(level + 1, &result)
      try item(index, &result)
    }
    if count > 0 { newLine(level, &result) }
    result += close
  }

  private func newLine(_ level: Int, _ result: inout TemplateText) {
    guard let indentation else { return }
    result += "\n"
    result += indentation.repeated(level)
  }

  private func order(of dictionary: TemplateDictionary) throws(TemplateFailure) -> [Int] {
    let indices = Array(dictionary.keys.indices)
    if !sortsKeys { return indices }
    var keys: [TemplateText] = []
    for key in dictionary.keys { keys.append(try Self.key(key)) }
    return indices.sorted { keys[$0] < keys[$1] }
  }

  private static func key(_ value: TemplateValue) throws(TemplateFailure) -> TemplateText {
    switch value {
    case .text(let text): return text
    case .null: return "null"
    case .bool(let value): return value ? "true" : "false"
    case .integer, .number: return try value.text()
    default: throw .evaluation("a \(value.typeName) cannot be a key in JSON")
    }
  }

  private static func number(_ value: Double) -> String {
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value < 0 ? "-Infinity" : "Infinity" }
    return PythonNumber.text(value)
  }

  private func write(_ text: TemplateText, to result: inout TemplateText) {
    result += "\""
    for unit in text.units {
      for scalar in escaped(TemplateText.scalar(unit)).unicodeScalars {
        result.append(scalar, markedAs: unit)
      }
    }
    result += "\""
  }

  private func escaped(_ scalar: Unicode.Scalar) -> String {
    switch scalar {
    case "\"": "\\\""
    case "\\": "\\\\"
    case "\n": "\\n"
    case "\r": "\\r"
    case "\t": "\\t"
    case "\u{08}": "\\b"
    case "\u{0C}": "\\f"
    case _ where scalar.value < 0x20 || (escapesNonASCII && scalar.value > 0x7E):
      scalar.value == 0x7F ? "\u{7F}" : String(scalar).utf16.map(Self.hexadecimal).joined()
    default: String(scalar)
    }
  }

  private static func hexadecimal(_ unit: UInt16) -> String {
    let digits = String(unit, radix: 16)
    return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
  }
}
