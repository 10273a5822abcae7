import EmberTokenizer

extension SchemaCompiler {
  /// `enum` or `const`, perhaps with a type.
  mutating func values(
    _ list: [JSONValue], _ schema: JSONValue, _ path: String
  ) throws(GenerationError) -> GrammarExpression {
    var types: Set<String>?
    switch schema["type"] {
    case .null: break
    case .string(let type): types = [type]
    case .array(let names):
      types = Set(names.compactMap { if case .string(let name) = $0 { name } else { nil } })
    case let other: throw error(path, "type: expected the name of a type, found \(other.summary)")
    }
    let fitting = list.filter { value in
      guard let types else { return true }
      return !types.isDisjoint(with: Self.types(of: value))
    }
    if fitting.isEmpty { throw error(path, "expected a value of the type, found none") }
    return .alternatives(fitting.map { .text(JSONGrammar.text($0)) })
  }

  private static func types(of value: JSONValue) -> Set<String> {
    switch value {
    case .null: ["null"]
    case .bool: ["boolean"]
    case .integer: ["integer", "number"]
    case .number(let number): number.rounded() == number ? ["integer", "number"] : ["number"]
    case .string: ["string"]
    case .array: ["array"]
    case .object: ["object"]
    }
  }

  mutating func alternatives(
    _ schema: JSONValue, _ keyword: String, _ path: String
  ) throws(GenerationError) -> GrammarExpression {
    guard case .array(let list) = schema[keyword], !list.isEmpty else {
      throw error(path, "\(keyword): expected a list of schemas")
    }
    if keyword == "oneOf" {
      for (index, first) in list.enumerated() {
        for second in list[(index + 1)...] where !areDisjoint(first, second, path) {
          throw error(
            path,
            "oneOf: two of its schemas may both hold, which cannot be ruled out here: use"
              + " anyOf, other types, or a required property with another const in each")
        }
      }
    }
    var result: [GrammarExpression] = []
    for (index, alternative) in list.enumerated() {
      result.append(try expression(alternative, "\(path)/\(keyword)/\(index)"))
    }
    return .alternatives(result)
  }

  /// Whether no value can satisfy both, as far as types, constants and constant properties tell.
  private func areDisjoint(
    _ first: JSONValue, _ second: JSONValue, _ path: String, depth: Int = 0
  ) -> Bool {
    let (first, second) = (dereferenced(first), dereferenced(second))
    let (firstValues, secondValues) = (constants(first), constants(second))
    if let firstValues, let secondValues {
      return Set(firstValues.map(JSONGrammar.text)).isDisjoint(
        with: secondValues.map(JSONGrammar.text))
    }
    if let firstTypes = types(first, firstValues), let secondTypes = types(second, secondValues),
      firstTypes.isDisjoint(with: secondTypes)
    {
      return true
    }
    if depth > 8 { return false }
    // A property that both have and that is never the same.
    guard case .object(let members) = first["properties"],
      case .array(let firstNames) = first["required"],
      case .array(let secondNames) = second["required"]
    else { return false }
    return members.contains { member in
      let name = JSONValue.string(member.key)
      guard firstNames.contains(name), secondNames.contains(name),
        case .object(let others) = second["properties"],
        let other = others.last(where: { $0.key == member.key })
      else { return false }
      return areDisjoint(member.value, other.value, path, depth: depth + 1)
    }
  }

  private func dereferenced(_ schema: JSONValue) -> JSONValue {
    var schema = schema
    for _ in 0..<8 {
      guard case .string(let pointer) = schema["$ref"], pointer.hasPrefix("#"),
        let target = try? resolve(pointer, from: "")
      else { break }
      schema = target
    }
    return schema
  }

  private func constants(_ schema: JSONValue) -> [JSONValue]? {
    guard case .object(let members) = schema else { return nil }
    if let member = members.last(where: { $0.key == "const" }) { return [member.value] }
    if case .array(let list) = schema["enum"] { return list }
    return nil
  }

  /// The types that a value can have; integers are numbers.
  private func types(_ schema: JSONValue, _ constants: [JSONValue]?) -> Set<String>? {
    if let constants {
      return constants.reduce(into: []) { $0.formUnion(Self.types(of: $1)) }
    }
    var names: [JSONValue] = []
    switch schema["type"] {
    case .string: names = [schema["type"]]
    case .array(let list): names = list
    default: return nil
    }
    var types: Set<String> = []
    for case .string(let name) in names {
      types.insert(name)
      if name == "integer" { types.insert("number") }
      if name == "number" { types.insert("integer") }
    }
    return types
  }
}
