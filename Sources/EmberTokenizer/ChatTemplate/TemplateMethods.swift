/// The methods of Python's types that chat templates call.
enum TemplateMethods {
  /// What a value has; those that would change it are not among them, as in transformers' sandbox.
  static func names(of value: TemplateValue) -> Set<String> {
    switch value {
    case .text: text
    case .dictionary: dictionary
    case .sequence(let sequence) where sequence.kind == .list: list
    case .sequence(let sequence) where sequence.kind == .tuple: tuple
    default: []
    }
  }

  private static let text: Set = [
    "strip", "lstrip", "rstrip", "split", "rsplit", "splitlines", "startswith", "endswith", "upper",
    "lower", "title", "capitalize", "replace", "find", "rfind", "index", "count", "join", "format",
    "isdigit", "isnumeric", "isalpha", "isalnum", "isspace", "isupper", "islower", "removeprefix",
    "removesuffix", "partition", "rpartition", "zfill",
  ]
  private static let dictionary: Set = [
    "get", "items", "keys", "values", "copy", "update", "pop", "setdefault", "clear", "popitem",
  ]
  private static let tuple: Set = ["index", "count"]
  private static let list: Set = [
    "index", "count", "copy", "append", "extend", "insert", "pop", "remove", "clear", "sort",
    "reverse",
  ]
  /// Refused with their reason.
  static let changing: Set = [
    "update", "pop", "setdefault", "clear", "popitem", "append", "extend", "insert", "remove",
    "sort", "reverse",
  ]
}

extension TemplateInterpreter {
  func call(
    _ name: String, of value: TemplateValue, _ arguments: TemplateCallArguments
  ) throws(TemplateFailure) -> TemplateValue {
    if case .loop(let loop) = value { return try call(name, of: loop, arguments) }
    if case .text(let text) = value {
      try charge(text.count)
      return try call(name, of: text, arguments)
    }
    if TemplateMethods.changing.contains(name) {
      throw .evaluation("\(name) would change a \(value.typeName), which templates may not")
    }
    func bound(_ names: String..., required: Int = 0) throws(TemplateFailure) -> [TemplateValue?] {
      try arguments.bound(to: names, required: required, of: name)
    }
    switch value {
    case .dictionary(let dictionary):
      switch name {
      case "get":
        let options = try bound("key", "default", required: 1)
        return dictionary[options[0] ?? .null] ?? options[1] ?? .null
      case "items": return .sequence(try TemplateSequence(try dictionary.items, .view))
      case "keys": return .sequence(try TemplateSequence(dictionary.keys, .view))
      case "values": return .sequence(try TemplateSequence(dictionary.values, .view))
      default: return value
      }
    case .sequence(let sequence):
      if name == "copy" { return value }
      try charge(value.weight)
      let wanted = try bound("value", required: 1)[0] ?? .null
      if name == "count" {
        return .integer(sequence.items.count { TemplateValue.areEqual($0, wanted) })
      }
      guard let index = sequence.items.firstIndex(where: { TemplateValue.areEqual($0, wanted) })
      else { throw .evaluation("index: the value is not in the \(value.typeName)") }
      return .integer(index)
    default: throw .unsupported("the method \(name) of a \(value.typeName)")
    }
  }

  private func call(
    _ name: String, of loop: TemplateLoop, _ arguments: TemplateCallArguments
  ) throws(TemplateFailure) -> TemplateValue {
    let values = arguments.positional
    if name == "cycle" {
      if values.isEmpty { throw .evaluation("cycle without values") }
      return values[loop.index % values.count]
    }
    let isSame =
      loop.lastSeen.map {
        $0.count == values.count && zip($0, values).allSatisfy(TemplateValue.areEqual)
      }
      ?? false
    loop.lastSeen = values
    return .bool(!isSame)
  }

  private func call(
    _ name: String, of text: TemplateText, _ arguments: TemplateCallArguments
  ) throws(TemplateFailure) -> TemplateValue {
    func bound(_ names: String..., required: Int = 0) throws(TemplateFailure) -> [TemplateValue?] {
      try arguments.bound(to: names, required: required, of: name)
    }
    func only() throws(TemplateFailure) -> TemplateText {
      try (try bound("value", required: 1)[0] ?? .null).plainText(name)
    }
    switch name {
    case "strip", "lstrip", "rstrip":
      var characters: TemplateText?
      if case .text(let given)? = try bound("chars")[0] { characters = given }
      return .text(
        text.stripped(characters, left: name != "rstrip", right: name != "lstrip"))
    case "split", "rsplit": return try split(text, name, try bound("sep", "maxsplit"))
    case "splitlines":
      let lines = text.splitLines(keepingEnds: try bound("keepends")[0]?.isTrue ?? false)
      return try .list(lines.map(TemplateValue.text))
    case "startswith", "endswith":
      let options: [TemplateValue]
      let given = try bound("prefix", required: 1)[0] ?? .null
      if case .sequence(let several) = given, several.kind == .tuple {
        options = several.items
      } else {
        options = [given]
      }
      for option in options {
        let part = try option.plainText(name)
        if name == "startswith" ? text.hasPrefix(part) : text.hasSuffix(part) { return .bool(true) }
      }
      return .bool(false)
    case "replace":
      let options = try bound("old", "new", "count", required: 2)
      let limit = options[2]?.asInteger.map { $0 < 0 ? Int.max : $0 }
      return .text(
        try replace(
          text, try (options[0] ?? .null).plainText(name),
          try (options[1] ?? .null).plainText(name),
          limit))
    case "find", "rfind", "index":
      let part = try only()
      let found = name == "rfind" ? text.lastRange(of: part) : text.firstRange(of: part)
      if found == nil, name == "index" { throw .evaluation("index: the text is not in the str") }
      return .integer(found?.lowerBound ?? -1)
    case "count": return .integer(text.occurrences(of: try only()).count)
    case "join":
      var parts: [TemplateText] = []
      for element in try (try bound("values", required: 1)[0] ?? .null).elements() {
        parts.append(try element.plainText(name))
      }
      return .text(try join(parts, by: text))
    case "format": return .text(try TemplateFormat.braces(text, arguments))
    case "removeprefix":
      let part = try only()
      return .text(text.hasPrefix(part) ? text[part.count..<text.count] : text)
    case "removesuffix":
      let part = try only()
      return .text(text.hasSuffix(part) ? text[0..<text.count - part.count] : text)
    case "partition", "rpartition": return try partition(text, at: try only(), name)
    case "zfill":
      let width = try (try bound("width", required: 1)[0] ?? .null).integer(name)
      if width > 100 { throw .limit("zfill to more than 100") }
      let hasSign = text.hasPrefix("-") || text.hasPrefix("+")
      let zeros = TemplateText("0").repeated(width - text.count)
      let sign = hasSign ? 1 : 0
      return .text(text[0..<sign] + zeros + text[sign..<text.count])
    default:
      _ = try bound()
      return plain(name, of: text)
    }
  }

  private func partition(
    _ text: TemplateText, at separator: TemplateText, _ name: String
  ) throws(TemplateFailure) -> TemplateValue {
    if separator.isEmpty { throw .evaluation("\(name) at an empty text") }
    let isLast = name == "rpartition"
    var parts = isLast ? ["", "", text] : [text, "", ""]
    if let range = isLast ? text.lastRange(of: separator) : text.firstRange(of: separator) {
      parts = [text[0..<range.lowerBound], text[range], text[range.upperBound..<text.count]]
    }
    return .sequence(try TemplateSequence(parts.map(TemplateValue.text), .tuple))
  }

  private func split(
    _ text: TemplateText, _ name: String, _ options: [TemplateValue?]
  ) throws(TemplateFailure) -> TemplateValue {
    var separator: TemplateText?
    if case .text(let given)? = options[0] { separator = given }
    if separator?.isEmpty == true { throw .evaluation("\(name) at an empty text") }
    let limit = options[1]?.asInteger.flatMap { $0 < 0 ? nil : $0 }
    let parts =
      name == "split"
      ? text.split(separator, limit: limit) : text.splitFromEnd(separator, limit: limit)
    return try .list(parts.map(TemplateValue.text))
  }

  /// Methods without arguments.
  private func plain(_ name: String, of text: TemplateText) -> TemplateValue {
    func all(_ holds: (Unicode.Scalar.Properties) -> Bool) -> TemplateValue {
      .bool(!text.isEmpty && text.units.allSatisfy { holds(TemplateText.scalar($0).properties) })
    }
    func isLetter(_ properties: Unicode.Scalar.Properties) -> Bool {
      switch properties.generalCategory {
      case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: true
      default: false
      }
    }
    func isCased(_ changed: TemplateText) -> TemplateValue {
      let hasCase = text.units.contains { TemplateText.scalar($0).properties.isCased }
      return .bool(hasCase && text == changed)
    }
    return switch name {
    case "upper": .text(text.uppercased)
    case "lower": .text(text.lowercased)
    case "title": .text(text.titled)
    case "capitalize": .text(text.capitalized)
    case "isdigit": all { $0.numericType == .decimal || $0.numericType == .digit }
    case "isnumeric": all { $0.numericType != nil }
    case "isalpha": all(isLetter)
    case "isalnum": all { isLetter($0) || $0.numericType != nil }
    case "isspace": .bool(!text.isEmpty && text.units.allSatisfy(TemplateText.isSpace))
    case "isupper": isCased(text.uppercased)
    default: isCased(text.lowercased)
    }
  }
}
