/// The functions that every chat template can call.
enum TemplateGlobal: String {
  case range
  case namespace
  case dict
  case raiseException = "raise_exception"
  case strftimeNow = "strftime_now"
}

extension TemplateInterpreter {
  /// As in Jinja's sandbox.
  private static let rangeLimit = 100_000

  func call(
    _ function: TemplateGlobal, _ arguments: TemplateCallArguments
  ) throws(TemplateFailure) -> TemplateValue {
    switch function {
    case .range: return try range(arguments)
    case .namespace: return try namespace(arguments)
    case .dict: return .dictionary(try dictionary(arguments))
    case .raiseException:
      let message = try arguments.bound(
        to: ["message"], required: 1, of: "raise_exception")
      throw .refused(try (message[0] ?? .null).text().string)
    case .strftimeNow:
      let format = try arguments.bound(to: ["format"], required: 1, of: "strftime_now")
      let text = try (format[0] ?? .null).plainText("strftime_now").string
      guard let time = clock.text(text) else {
        throw .evaluation("strftime_now: the format gives no date: \(text)")
      }
      return .text(time)
    }
  }

  private func range(_ arguments: TemplateCallArguments) throws(TemplateFailure) -> TemplateValue {
    let values = try arguments.bound(to: ["start", "stop", "step"], required: 1, of: "range")
    var numbers: [Int] = []
    for value in values { if let value { numbers.append(try value.integer("range")) } }
    let start = numbers.count > 1 ? numbers[0] : 0
    let stop = numbers.count > 1 ? numbers[1] : numbers[0]
    let step = numbers.count > 2 ? numbers[2] : 1
    if step == 0 { throw .evaluation("range with step 0") }
    let (distance, overflows) = stop.subtractingReportingOverflow(start)
    let (count, countOverflows) = distance.dividedReportingOverflow(by: step)
    if overflows || countOverflows || count > Self.rangeLimit {
      throw .limit("range is longer than \(Self.rangeLimit)")
    }
    try charge(max(0, count))
    return try .list(stride(from: start, to: stop, by: step).map(TemplateValue.integer))
  }

  private func dictionary(
    _ arguments: TemplateCallArguments
  ) throws(TemplateFailure) -> TemplateDictionary {
    guard arguments.positional.count <= 1 else {
      throw .evaluation("expected at most one value to make a dict of")
    }
    var dictionary = TemplateDictionary()
    switch arguments.positional.first {
    case nil: break
    case .dictionary(let other): dictionary = other
    case .some(let pairs):
      for pair in try pairs.elements() {
        let items = try pair.elements()
        guard items.count == 2 else { throw .evaluation("a dict is made of pairs") }
        try dictionary.set(items[0], to: items[1])
      }
    }
    for (name, value) in arguments.named { try dictionary.set(.text(name), to: value) }
    return dictionary
  }

  private func namespace(
    _ arguments: TemplateCallArguments
  ) throws(TemplateFailure) -> TemplateValue {
    let namespace = TemplateNamespace()
    let attributes = try dictionary(arguments)
    for index in attributes.keys.indices {
      let name = try attributes.keys[index].plainText("an attribute's name").string
      try set(name, of: namespace, to: attributes.values[index])
    }
    return .namespace(namespace)
  }
}
