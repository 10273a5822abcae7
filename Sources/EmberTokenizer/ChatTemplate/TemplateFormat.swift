/// Python's two ways to put values into a text, as far as templates use them.
enum TemplateFormat {
  /// `'%s: %d' % values`: `%s`, `%r`, `%d`, `%i`, `%f` with a precision, and `%%`.
  static func percent(
    _ format: TemplateText, _ value: TemplateValue
  ) throws(TemplateFailure) -> TemplateText {
    var values = [value]
    if case .sequence(let sequence) = value, sequence.kind == .tuple { values = sequence.items }
    var result = TemplateText()
    var next = 0
    var index = 0
    while index < format.count {
      guard format.scalar(index) == "%" else {
        result += format[index..<index + 1]
        index += 1
        continue
      }
      index += 1
      var precision: Int?
      if index < format.count, format.scalar(index) == "." {
        index += 1
        precision = 0
        while index < format.count, let digit = Int(String(format.scalar(index))) {
          precision = min((precision ?? 0) * 10 + digit, 100)
          index += 1
        }
      }
      guard index < format.count else { throw .evaluation("% at the end of a format") }
      let kind = format.scalar(index)
      index += 1
      if kind == "%" {
        result += "%"
        continue
      }
      guard next < values.count else { throw .evaluation("more % than values") }
      result += try percent(kind, precision, values[next])
      next += 1
    }
    if next < values.count { throw .evaluation("more values than %") }
    return result
  }

  private static func percent(
    _ kind: Unicode.Scalar, _ precision: Int?, _ value: TemplateValue
  ) throws(TemplateFailure) -> TemplateText {
    switch kind {
    case "s", "r":
      let text = kind == "s" ? try value.text() : try value.representation()
      return text[0..<min(precision ?? .max, text.count)]
    case "d", "i":
      if let integer = value.asInteger { return TemplateText("\(integer)") }
      guard case .number(let number) = value else {
        throw .evaluation("%d: expected a number, found a \(value.typeName)")
      }
      return TemplateText("\(try PythonNumber.truncated(number))")
    case "f":
      guard let number = value.asNumber else {
        throw .evaluation("%f: expected a number, found a \(value.typeName)")
      }
      return TemplateText(PythonNumber.fixed(number, precision ?? 6))
    default: throw .unsupported("%\(kind) in a format")
    }
  }

  /// `str.format` with `{}`, `{0}` and `{name}`.
  static func braces(
    _ format: TemplateText, _ arguments: TemplateCallArguments
  ) throws(TemplateFailure) -> TemplateText {
    var result = TemplateText()
    var next = 0
    var index = 0
    while index < format.count {
      let scalar = format.scalar(index)
      let isDoubled = index + 1 < format.count && format.scalar(index + 1) == scalar
      if scalar == "{" || scalar == "}", isDoubled {
        result += format[index..<index + 1]
        index += 2
      } else if scalar == "{" {
        guard let end = format.firstRange(of: "}", from: index) else {
          throw .evaluation("{ without } in a format")
        }
        let field = format[index + 1..<end.lowerBound].string
        if field.contains(where: { ":!.[".contains($0) }) {
          throw .unsupported("the field {\(field)} in a format")
        }
        result += try value(of: field, arguments, &next).text()
        index = end.upperBound
      } else if scalar == "}" {
        throw .evaluation("} without { in a format")
      } else {
        result += format[index..<index + 1]
        index += 1
      }
      if result.count > TemplateValue.sizeLimit { throw .limit("a text is too long") }
    }
    return result
  }

  private static func value(
    of field: String, _ arguments: TemplateCallArguments, _ next: inout Int
  ) throws(TemplateFailure) -> TemplateValue {
    if field.isEmpty || Int(field) != nil {
      let index = Int(field) ?? next
      if field.isEmpty { next += 1 }
      guard arguments.positional.indices.contains(index) else {
        throw .evaluation("a format needs more values than there are")
      }
      return arguments.positional[index]
    }
    guard let named = arguments.named.last(where: { $0.name == field }) else {
      throw .evaluation("a format needs a value for \(field)")
    }
    return named.value
  }
}
