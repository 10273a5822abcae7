/// The values that a call hands over.
struct TemplateCallArguments {
  var positional: [TemplateValue] = []
  var named: [(name: String, value: TemplateValue)] = []

  /// One value or nil for each parameter.
  ///
  /// - Throws: for too many, unknown or doubled arguments, and for one of the first `required` that
  ///   is missing.
  func bound(
    to parameters: [String], required: Int = 0, of function: @autoclosure () -> String
  ) throws(TemplateFailure) -> [TemplateValue?] {
    guard positional.count <= parameters.count else {
      throw .evaluation(
        "\(function()) takes at most \(parameters.count) arguments, found \(positional.count)")
    }
    var values: [TemplateValue?] = positional
    values += [TemplateValue?](repeating: nil, count: parameters.count - positional.count)
    for (name, value) in named {
      guard let index = parameters.firstIndex(of: name) else {
        throw .evaluation("\(function()) has no parameter \(name)")
      }
      if values[index] != nil { throw .evaluation("\(function()) has two values for \(name)") }
      values[index] = value
    }
    if let missing = values.prefix(required).firstIndex(where: { $0 == nil }) {
      throw .evaluation("\(function()) needs the argument \(parameters[missing])")
    }
    return values
  }
}

extension TemplateValue {
  func integer(_ what: String) throws(TemplateFailure) -> Int {
    guard let value = asInteger else {
      throw .evaluation("\(what): expected an int, found a \(typeName)")
    }
    return value
  }

  func plainText(_ what: String) throws(TemplateFailure) -> TemplateText {
    guard case .text(let text) = self else {
      throw .evaluation("\(what): expected a str, found a \(typeName)")
    }
    return text
  }
}
