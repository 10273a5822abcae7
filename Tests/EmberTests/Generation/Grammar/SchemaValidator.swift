import Foundation

/// Whether a JSON text satisfies a schema: another implementation than the one that is tested, on
/// Foundation's JSON and expressions.
struct SchemaValidator {
  indirect enum Value: Decodable, Equatable {
    case null
    case bool(Bool)
    case number(Double)
    case string(String)
    case array([Value])
    case object([String: Value])

    init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      if container.decodeNil() {
        self = .null
      } else if let value = try? container.decode(Bool.self) {
        self = .bool(value)
      } else if let value = try? container.decode(Double.self) {
        self = .number(value)
      } else if let value = try? container.decode(String.self) {
        self = .string(value)
      } else if let value = try? container.decode([Value].self) {
        self = .array(value)
      } else {
        self = .object(try container.decode([String: Value].self))
      }
    }

    subscript(key: String) -> Value? {
      if case .object(let members) = self { members[key] } else { nil }
    }

    var count: Int? {
      if case .number(let number) = self { Int(number) } else { nil }
    }

    var list: [Value]? {
      if case .array(let list) = self { list } else { nil }
    }
  }

  let root: Value

  init(_ schema: String) throws {
    root = try JSONDecoder().decode(Value.self, from: Data(schema.utf8))
  }

  func accepts(_ text: String) throws -> Bool {
    holds(root, try JSONDecoder().decode(Value.self, from: Data(text.utf8)))
  }

  private func holds(_ schema: Value, _ value: Value) -> Bool {
    if case .bool(let allows) = schema { return allows }
    if case .string(let pointer) = schema["$ref"] {
      var target: Value? = root
      for key in pointer.split(separator: "/").dropFirst() { target = target?[String(key)] }
      return target.map { holds($0, value) } ?? false
    }
    if let constant = schema["const"], constant != value { return false }
    if let list = schema["enum"]?.list, !list.contains(value) { return false }
    if let list = schema["anyOf"]?.list, !list.contains(where: { holds($0, value) }) {
      return false
    }
    if let list = schema["oneOf"]?.list, list.count(where: { holds($0, value) }) != 1 {
      return false
    }
    if let type = schema["type"] {
      let types = type.list ?? [type]
      if !types.contains(where: { isOf($0, value) }) { return false }
    }
    switch value {
    case .object(let members): return holdsObject(schema, members)
    case .array(let list):
      if let least = schema["minItems"]?.count, list.count < least { return false }
      if let most = schema["maxItems"]?.count, list.count > most { return false }
      return schema["items"].map { items in list.allSatisfy { holds(items, $0) } } ?? true
    case .string(let text): return holdsString(schema, text)
    default: return true
    }
  }

  private func isOf(_ type: Value, _ value: Value) -> Bool {
    switch (type, value) {
    case (.string("null"), .null), (.string("boolean"), .bool), (.string("number"), .number),
      (.string("string"), .string), (.string("array"), .array), (.string("object"), .object):
      true
    case (.string("integer"), .number(let number)): number.rounded() == number
    default: false
    }
  }

  private func holdsObject(_ schema: Value, _ members: [String: Value]) -> Bool {
    for case .string(let name) in schema["required"]?.list ?? [] where members[name] == nil {
      return false
    }
    return members.allSatisfy { name, value in
      if let property = schema["properties"]?[name] { return holds(property, value) }
      return schema["additionalProperties"].map { holds($0, value) } ?? true
    }
  }

  private func holdsString(_ schema: Value, _ text: String) -> Bool {
    let count = text.unicodeScalars.count
    if let least = schema["minLength"]?.count, count < least { return false }
    if let most = schema["maxLength"]?.count, count > most { return false }
    if case .string(let pattern) = schema["pattern"] {
      guard let expression = try? NSRegularExpression(pattern: pattern) else { return false }
      let range = NSRange(location: 0, length: (text as NSString).length)
      return expression.firstMatch(in: text, range: range) != nil
    }
    return true
  }
}
