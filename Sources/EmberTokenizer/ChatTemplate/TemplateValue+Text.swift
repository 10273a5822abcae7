/// What a value looks like when it is printed.
extension TemplateValue {
  /// Python's `str`.
  func text() throws(TemplateFailure) -> TemplateText {
    switch self {
    case .undefined: ""
    case .text(let text): text
    default: try representation()
    }
  }

  /// Python's `repr`.
  func representation() throws(TemplateFailure) -> TemplateText {
    switch self {
    case .undefined: return "Undefined"
    case .null: return "None"
    case .bool(let value): return value ? "True" : "False"
    case .integer(let value): return TemplateText("\(value)")
    case .number(let value): return TemplateText(PythonNumber.text(value))
    case .text(let text): return Self.quoted(text)
    case .sequence(let sequence): return try Self.representation(of: sequence)
    case .dictionary(let dictionary):
      var parts: [TemplateText] = []
      for index in dictionary.keys.indices {
        let key = try dictionary.keys[index].representation()
        parts.append(key + ": " + (try dictionary.values[index].representation()))
      }
      return "{" + TemplateText(", ").joining(parts) + "}"
    case .namespace, .loop, .function:
      throw .unsupported("printing a \(typeName)")
    }
  }

  private static func representation(
    of sequence: TemplateSequence
  ) throws(TemplateFailure) -> TemplateText {
    var parts: [TemplateText] = []
    for item in sequence.items { parts.append(try item.representation()) }
    let content = TemplateText(", ").joining(parts)
    switch sequence.kind {
    case .list: return "[" + content + "]"
    case .tuple: return "(" + content + (parts.count == 1 ? ",)" : ")")
    case .generator, .view: throw .unsupported("printing what is no list; add | list")
    }
  }

  private static func quoted(_ text: TemplateText) -> TemplateText {
    let hasSingle = text.units.contains { TemplateText.value($0) == 0x27 }
    let hasDouble = text.units.contains { TemplateText.value($0) == 0x22 }
    let quote: Unicode.Scalar = hasSingle && !hasDouble ? "\"" : "'"
    var result = TemplateText()
    result.append(quote)
    for unit in text.units {
      let scalar = TemplateText.scalar(unit)
      for escaped in Self.escaped(scalar, quote).unicodeScalars {
        result.append(escaped, markedAs: unit)
      }
    }
    result.append(quote)
    return result
  }

  private static func escaped(_ scalar: Unicode.Scalar, _ quote: Unicode.Scalar) -> String {
    switch scalar {
    case "\\": return "\\\\"
    case "\n": return "\\n"
    case "\r": return "\\r"
    case "\t": return "\\t"
    case quote: return "\\" + String(quote)
    case " ": return " "
    default: break
    }
    switch scalar.properties.generalCategory {
    case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator,
      .paragraphSeparator, .spaceSeparator:
      let digits = String(scalar.value, radix: 16)
      let (letter, width) =
        scalar.value < 0x100 ? ("x", 2) : scalar.value < 0x10000 ? ("u", 4) : ("U", 8)
      return "\\" + letter + String(repeating: "0", count: width - digits.count) + digits
    default: return String(scalar)
    }
  }
}
