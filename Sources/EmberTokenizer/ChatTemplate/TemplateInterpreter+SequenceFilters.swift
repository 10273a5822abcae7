/// Filters on several values.
extension TemplateInterpreter {
  func applyToSequence(
    _ name: String, _ value: TemplateValue, _ arguments: TemplateCallArguments
  ) throws(TemplateFailure) -> TemplateValue {
    func bound(_ names: String..., required: Int = 0) throws(TemplateFailure) -> [TemplateValue?] {
      try arguments.bound(to: names, required: required, of: "the filter \(name)")
    }
    switch name {
    case "length", "count":
      _ = try bound()
      return .integer(try length(value))
    case "items":
      _ = try bound()
      return try generator(items(of: value))
    case "dictsort":
      return try dictionarySort(value, try bound("case_sensitive", "by", "reverse"))
    case "reverse":
      _ = try bound()
      try charge(value.weight)
      if case .text(let text) = value { return .text(TemplateText(units: text.units.reversed())) }
      return try generator(try value.elements().reversed())
    default: break
    }
    let elements = try value.elements()
    try charge(elements.count)
    switch name {
    case "list":
      _ = try bound()
      return try .list(elements)
    case "first", "last":
      _ = try bound()
      return (name == "first" ? elements.first : elements.last)
        ?? .undefined("the \(name) item of an empty sequence")
    case "join":
      let options = try bound("d", "attribute")
      return .text(try join(elements, options[0], options[1]))
    case "sort":
      return try .list(try sorted(elements, try bound("reverse", "case_sensitive", "attribute")))
    case "unique":
      return try generator(try unique(elements, try bound("case_sensitive", "attribute")))
    case "sum":
      let options = try bound("attribute", "start")
      var sum = options[1] ?? .integer(0)
      for element in elements {
        sum = try TemplateValue.arithmetic(sum, "+", try self.value(options[0], of: element))
        try charge(sum.weight)
      }
      return sum
    default:
      let options = try bound("case_sensitive", "attribute")
      let ascending = try sorted(elements, [nil, options[0], options[1]])
      return (name == "min" ? ascending.first : ascending.last)
        ?? .undefined("the \(name) of an empty sequence")
    }
  }

  func generator(_ items: [TemplateValue]) throws(TemplateFailure) -> TemplateValue {
    .sequence(try TemplateSequence(items, .generator))
  }

  func length(_ value: TemplateValue) throws(TemplateFailure) -> Int {
    switch value {
    case .undefined: 0
    case .text(let text): text.count
    case .dictionary(let dictionary): dictionary.count
    case .sequence(let sequence) where sequence.kind != .generator: sequence.items.count
    default: throw .evaluation("a \(value.typeName) has no length")
    }
  }

  private func items(of value: TemplateValue) throws(TemplateFailure) -> [TemplateValue] {
    switch value {
    case .undefined: []
    case .dictionary(let dictionary): try dictionary.items
    default: throw .evaluation("items: expected a dict, found a \(value.typeName)")
    }
  }

  /// An attribute by its path, such as `function.name`, or the value itself.
  private func value(
    _ path: TemplateValue?, of value: TemplateValue
  ) throws(TemplateFailure) -> TemplateValue {
    guard let path else { return value }
    if case .null = path { return value }
    if path.asInteger != nil { return try item(path, of: value) }
    var value = value
    for part in try path.plainText("an attribute").split(".") {
      let index = PythonNumber.parseInteger(part).map(TemplateValue.integer) ?? .text(part)
      value = try item(index, of: value)
    }
    return value
  }

  private func join(
    _ elements: [TemplateValue], _ separator: TemplateValue?, _ attribute: TemplateValue?
  ) throws(TemplateFailure) -> TemplateText {
    var parts: [TemplateText] = []
    for element in elements {
      let part = try value(attribute, of: element)
      try charge(part.weight)
      parts.append(try part.text())
    }
    return try join(parts, by: try separator?.text() ?? "")
  }

  func join(
    _ parts: [TemplateText], by separator: TemplateText
  ) throws(TemplateFailure) -> TemplateText {
    let (separators, overflows) = parts.count.multipliedReportingOverflow(by: separator.count)
    let size = parts.reduce(0) { $0 + $1.count }
    if overflows || separators > TemplateValue.sizeLimit || size > TemplateValue.sizeLimit {
      throw .limit("a text is too long")
    }
    try charge(size + separators)
    return separator.joining(parts)
  }

  // MARK: Order

  /// What values are sorted by: texts without regard to case, unless asked otherwise.
  private func sortKey(
    _ value: TemplateValue, _ attribute: TemplateValue?, isCaseSensitive: Bool
  ) throws(TemplateFailure) -> TemplateValue {
    let key = try self.value(attribute, of: value)
    try charge(key.weight)
    if !isCaseSensitive, case .text(let text) = key { return .text(text.lowercased) }
    return key
  }

  /// - Parameter options: reverse, case-sensitive, attribute.
  private func sorted(
    _ elements: [TemplateValue], _ options: [TemplateValue?]
  ) throws(TemplateFailure) -> [TemplateValue] {
    var keys: [TemplateValue] = []
    for element in elements {
      keys.append(
        try sortKey(element, options[2], isCaseSensitive: options[1]?.isTrue ?? false))
    }
    let order = try sortedIndices(keys, isReversed: options[0]?.isTrue ?? false)
    return order.map { elements[$0] }
  }

  /// A merge sort, which is stable and may fail.
  private func sortedIndices(
    _ keys: [TemplateValue], isReversed: Bool
  ) throws(TemplateFailure) -> [Int] {
    var runs = keys.indices.map { [$0] }
    while runs.count > 1 {
      var merged: [[Int]] = []
      for start in stride(from: 0, to: runs.count, by: 2) {
        guard start + 1 < runs.count else {
          merged.append(runs[start])
          continue
        }
        merged.append(try merge(runs[start], runs[start + 1], keys, isReversed: isReversed))
      }
      runs = merged
    }
    return runs.first ?? []
  }

  private func merge(
    _ left: [Int], _ right: [Int], _ keys: [TemplateValue], isReversed: Bool
  ) throws(TemplateFailure) -> [Int] {
    var result: [Int] = []
    var (first, second) = (0, 0)
    while first < left.count, second < right.count {
      let (one, other) = (keys[left[first]], keys[right[second]])
      try charge(min(one.weight, other.weight))
      let takesRight =
        isReversed ? try TemplateValue.isLess(one, other) : try TemplateValue.isLess(other, one)
      if takesRight {
        result.append(right[second])
        second += 1
      } else {
        result.append(left[first])
        first += 1
      }
    }
    return result + left[first...] + right[second...]
  }

  /// - Parameter options: case-sensitive, attribute.
  private func unique(
    _ elements: [TemplateValue], _ options: [TemplateValue?]
  ) throws(TemplateFailure) -> [TemplateValue] {
    var seen = TemplateDictionary()
    var kept: [TemplateValue] = []
    for element in elements {
      let key = try sortKey(
        element, options[1], isCaseSensitive: options[0]?.isTrue ?? false)
      if seen[key] == nil {
        try seen.set(key, to: .null)
        kept.append(element)
      }
    }
    return kept
  }

  /// - Parameter options: case-sensitive, by, reverse.
  private func dictionarySort(
    _ value: TemplateValue, _ options: [TemplateValue?]
  ) throws(TemplateFailure) -> TemplateValue {
    guard case .dictionary(let dictionary) = value else {
      throw .evaluation("dictsort: expected a dict, found a \(value.typeName)")
    }
    let by = try options[1]?.text().string ?? "key"
    guard by == "key" || by == "value" else {
      throw .evaluation("dictsort: expected key or value, found \(by)")
    }
    return try .list(
      try sorted(
        try dictionary.items, [options[2], options[0], .integer(by == "key" ? 0 : 1)]))
  }

  // MARK: For each

  func applyToEach(
    _ name: String, _ value: TemplateValue, _ arguments: TemplateCallArguments
  ) throws(TemplateFailure) -> TemplateValue {
    let elements = try value.elements()
    try charge(elements.count)
    if name == "map" { return try generator(try map(elements, arguments)) }
    var rest = arguments
    var attribute: TemplateValue?
    if name.hasSuffix("attr") {
      if rest.positional.isEmpty { throw .evaluation("\(name) needs an attribute") }
      attribute = rest.positional.removeFirst()
    }
    var test: String?
    if !rest.positional.isEmpty {
      test = try rest.positional.removeFirst().plainText("a test's name").string
    }
    let keeps = name.hasPrefix("select")
    var kept: [TemplateValue] = []
    for element in elements {
      try charge()
      let tested = try self.value(attribute, of: element)
      let holds = try test.map { test throws(TemplateFailure) in
        try self.test(tested, test, rest)
      }
      if holds ?? tested.isTrue == keeps { kept.append(element) }
    }
    return try generator(kept)
  }

  private func map(
    _ elements: [TemplateValue], _ arguments: TemplateCallArguments
  ) throws(TemplateFailure) -> [TemplateValue] {
    var mapped: [TemplateValue] = []
    if arguments.positional.isEmpty {
      let names = arguments.named.filter { $0.name == "attribute" || $0.name == "default" }
      guard names.count == arguments.named.count,
        let path = names.last(where: { $0.name == "attribute" })?.value
      else { throw .evaluation("map needs a filter or an attribute") }
      let standard = names.last { $0.name == "default" }?.value
      for element in elements {
        try charge()
        let found = try value(path, of: element)
        mapped.append(found.isUndefined ? standard ?? found : found)
      }
      return mapped
    }
    var rest = arguments
    let filter = try rest.positional.removeFirst().plainText("a filter's name").string
    for element in elements { mapped.append(try apply(filter, to: element, rest)) }
    return mapped
  }
}
