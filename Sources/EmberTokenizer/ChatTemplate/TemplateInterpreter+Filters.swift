/// The filters of Jinja that chat templates use. `tojson` is transformers' own.
extension TemplateInterpreter {
  func apply(
    _ name: String, to value: TemplateValue, _ arguments: TemplateCallArguments
  ) throws(TemplateFailure) -> TemplateValue {
    func bound(_ names: String..., required: Int = 0) throws(TemplateFailure) -> [TemplateValue?] {
      try arguments.bound(to: names, required: required, of: "the filter \(name)")
    }
    switch name {
    case "trim", "upper", "lower", "title", "capitalize", "string", "replace", "indent":
      return try applyToText(name, value, arguments)
    case "map", "select", "reject", "selectattr", "rejectattr":
      return try applyToEach(name, value, arguments)
    case "list", "join", "first", "last", "length", "count", "reverse", "sort", "unique", "min",
      "max", "sum", "items", "dictsort":
      return try applyToSequence(name, value, arguments)
    case "int", "float", "round", "abs":
      return try applyToNumber(name, value, arguments)
    case "tojson":
      return .text(
        try json(
          value,
          try bound("ensure_ascii", "indent", "separators", "sort_keys")))
    case "default", "d":
      let options = try bound("default_value", "boolean")
      let isReplaced = value.isUndefined || (options[1]?.isTrue == true && !value.isTrue)
      return isReplaced ? options[0] ?? .text("") : value
    case "safe":
      _ = try bound()
      return .text(try value.text())
    case "format":
      return .text(
        try TemplateFormat.percent(
          try value.text(),
          .sequence(try TemplateSequence(arguments.positional, .tuple))))
    case "attr":
      let name = try bound("name", required: 1)[0] ?? .null
      return try attribute(try name.plainText("attr").string, of: value)
    default:
      throw .unsupported("the filter \(name)")
    }
  }

  private func json(
    _ value: TemplateValue, _ options: [TemplateValue?]
  ) throws(TemplateFailure) -> TemplateText {
    var writer = TemplateJSON()
    writer.escapesNonASCII = options[0]?.isTrue ?? false
    writer.sortsKeys = options[3]?.isTrue ?? false
    if let indentation = options[1]?.asInteger {
      writer.indentation = TemplateText(" ").repeated(min(indentation, Self.widestIndentation))
    } else if case .text(let indentation)? = options[1] {
      writer.indentation = indentation[0..<min(indentation.count, Self.widestIndentation)]
    }
    if writer.indentation != nil { writer.itemSeparator = "," }
    if case .sequence(let separators)? = options[2], separators.items.count == 2 {
      writer.itemSeparator = try separators.items[0].plainText("separators")
      writer.keySeparator = try separators.items[1].plainText("separators")
      if writer.itemSeparator.count + writer.keySeparator.count > Self.widestIndentation {
        throw .limit("separators of JSON are too long")
      }
    }
    try charge(value.weight)
    let text = try writer.text(value)
    try charge(text.count)
    return text
  }

  private static let widestIndentation = 32

  // MARK: Texts

  private func applyToText(
    _ name: String, _ value: TemplateValue, _ arguments: TemplateCallArguments
  ) throws(TemplateFailure) -> TemplateValue {
    try charge(value.weight)
    let text = try value.text()
    func bound(_ names: String..., required: Int = 0) throws(TemplateFailure) -> [TemplateValue?] {
      try arguments.bound(to: names, required: required, of: "the filter \(name)")
    }
    switch name {
    case "trim":
      let characters = try bound("chars")[0]
      if case .text(let characters)? = characters { return .text(text.stripped(characters)) }
      return .text(text.stripped())
    case "replace":
      let options = try bound("old", "new", "count", required: 2)
      let limit = options[2]?.asInteger.map { $0 < 0 ? Int.max : $0 }
      return .text(
        try replace(
          text, try (options[0] ?? .null).text(), try (options[1] ?? .null).text(), limit))
    case "indent":
      let options = try bound("width", "first", "blank")
      return .text(try indent(text, options))
    default:
      _ = try bound()
      return switch name {
      case "upper": .text(text.uppercased)
      case "lower": .text(text.lowercased)
      case "title": .text(text.titledByWords)
      case "capitalize": .text(text.capitalized)
      default: .text(text)
      }
    }
  }

  func replace(
    _ text: TemplateText, _ old: TemplateText, _ new: TemplateText, _ limit: Int?
  ) throws(TemplateFailure) -> TemplateText {
    try charge(text.count)
    // At most one replacement for each scalar, and one more for an empty text.
    let (growth, overflows) = (text.count + 1).multipliedReportingOverflow(by: new.count)
    if overflows || growth > TemplateValue.sizeLimit {
      let count = min(text.occurrences(of: old).count, limit ?? .max)
      let (growth, overflows) = count.multipliedReportingOverflow(by: new.count)
      if overflows || growth > TemplateValue.sizeLimit { throw .limit("a text is too long") }
    }
    let result = text.replacing(old, with: new, limit: limit)
    try charge(result.count)
    return result
  }

  private func indent(
    _ text: TemplateText, _ options: [TemplateValue?]
  ) throws(TemplateFailure) -> TemplateText {
    var indentation: TemplateText = "    "
    if case .text(let given)? = options[0] {
      indentation = given
    } else if let width = options[0]?.asInteger {
      indentation = TemplateText(" ").repeated(min(width, Self.widestIndentation + 1))
    }
    guard indentation.count <= Self.widestIndentation else {
      throw .limit("indent by more than \(Self.widestIndentation)")
    }
    let indentsBlank = options[2]?.isTrue ?? false
    var lines = (text + "\n").splitLines()
    try charge(lines.count * indentation.count)
    for index in lines.indices.dropFirst() where indentsBlank || !lines[index].isEmpty {
      lines[index] = indentation + lines[index]
    }
    let result = TemplateText("\n").joining(lines)
    return options[1]?.isTrue == true ? indentation + result : result
  }

  // MARK: Numbers

  private func applyToNumber(
    _ name: String, _ value: TemplateValue, _ arguments: TemplateCallArguments
  ) throws(TemplateFailure) -> TemplateValue {
    try charge(value.weight)
    func bound(_ names: String...) throws(TemplateFailure) -> [TemplateValue?] {
      try arguments.bound(to: names, of: "the filter \(name)")
    }
    switch name {
    case "int":
      let options = try bound("default", "base")
      if let base = options[1], base.asInteger != 10 {
        throw .unsupported("int with a base")
      }
      let standard = options[0] ?? .integer(0)
      if let integer = value.asInteger { return .integer(integer) }
      if case .number(let number) = value {
        return number.isFinite ? .integer(try PythonNumber.truncated(number)) : standard
      }
      guard case .text(let text) = value else { return standard }
      if let integer = PythonNumber.parseInteger(text) { return .integer(integer) }
      guard let number = PythonNumber.parseNumber(text), number.isFinite else { return standard }
      return .integer(try PythonNumber.truncated(number))
    case "float":
      let standard = try bound("default")[0] ?? .number(0)
      if let number = value.asNumber { return .number(number) }
      guard case .text(let text) = value else { return standard }
      return PythonNumber.parseNumber(text).map(TemplateValue.number) ?? standard
    case "abs":
      _ = try bound()
      if let integer = value.asInteger {
        return .integer(
          integer < 0
            ? try PythonNumber.checked((0).subtractingReportingOverflow(integer)) : integer
        )
      }
      if case .number(let number) = value { return .number(number.magnitude) }
      throw .evaluation("abs: expected a number, found a \(value.typeName)")
    default:
      return try round(value, try bound("precision", "method"))
    }
  }

  private func round(
    _ value: TemplateValue, _ options: [TemplateValue?]
  ) throws(TemplateFailure) -> TemplateValue {
    let precision = options[0]?.asInteger ?? 0
    let method = try options[1]?.text().string ?? "common"
    guard (0...100).contains(precision) else { throw .unsupported("round to \(precision) digits") }
    if method == "common", let integer = value.asInteger { return .integer(integer) }
    guard let number = value.asNumber else {
      throw .evaluation("round: expected a number, found a \(value.typeName)")
    }
    let scale = (0..<precision).reduce(1.0) { scale, _ in scale * 10 }
    switch method {
    case "common":
      return .number(Double(PythonNumber.fixed(number, precision)) ?? number)
    case "ceil": return .number((number * scale).rounded(.up) / scale)
    case "floor": return .number((number * scale).rounded(.down) / scale)
    default: throw .evaluation("round: expected common, ceil or floor, found \(method)")
    }
  }
}
