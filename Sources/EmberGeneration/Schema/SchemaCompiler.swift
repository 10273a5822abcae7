import EmberTokenizer

/// From a JSON schema to the rules of the JSON texts that it allows, or of some of them.
///
/// What is generated always satisfies the schema; not all that satisfies it is generated: properties
/// come in the order of the schema, `additionalProperties` that the schema does not name are not
/// added, and there is at most one space behind a colon or a comma. A keyword that is not known is an
/// error, never ignored.
struct SchemaCompiler {
  let root: JSONValue
  private var finished: [GrammarParser.Rule] = []
  /// Rules of references, by their pointers.
  private var references: [String: String] = [:]
  private var openReferences: [(name: String, pointer: String)] = []
  private var ruleCount = 0

  /// Keywords that say nothing about which texts are allowed.
  static let annotations: Set<String> = [
    "title", "description", "default", "examples", "$schema", "$id", "$comment", "deprecated",
    "readOnly", "writeOnly", "$defs", "definitions",
  ]

  /// The keywords of each type.
  private static let keywords: [(type: String, names: Set<String>)] = [
    ("object", ["properties", "required", "additionalProperties"]),
    ("array", ["items", "minItems", "maxItems"]),
    ("string", ["minLength", "maxLength", "pattern"]),
    ("number", []), ("integer", []), ("boolean", []), ("null", []),
  ]

  /// - Throws: `GenerationError.unsupportedSchema`
  init(_ text: String) throws(GenerationError) {
    do throws(TokenizerError) {
      root = try JSONParser.parse(Array(text.utf8), path: "JSON schema")
    } catch {
      throw .unsupportedSchema(path: "", problem: "no JSON: \(error)")
    }
  }

  /// The rules; the whole text follows `root`.
  ///
  /// - Throws: `GenerationError.unsupportedSchema`
  mutating func rules() throws(GenerationError) -> [GrammarParser.Rule] {
    let expression = try self.expression(root, "")
    add("root", expression)
    while let reference = openReferences.popLast() {
      let target = try resolve(reference.pointer, from: reference.pointer)
      let expression = try self.expression(target, String(reference.pointer.dropFirst()))
      add(reference.name, expression)
    }
    for rule in JSONGrammar.rules { finished.append(rule) }
    return finished
  }

  mutating func add(_ name: String, _ expression: GrammarExpression) {
    finished.append(.init(name: name, line: 1, expression: expression))
  }

  mutating func newName() -> String {
    ruleCount += 1
    return "schema \(ruleCount)"
  }

  func error(_ path: String, _ problem: String) -> GenerationError {
    .unsupportedSchema(path: path, problem: problem)
  }

  /// - Parameter path: a JSON pointer, for errors.
  mutating func expression(
    _ schema: JSONValue, _ path: String
  ) throws(GenerationError) -> GrammarExpression {
    guard case .object(let members) = schema else {
      if schema == .bool(true) { return .rule(JSONGrammar.value) }
      throw error(path, "expected a schema that allows something, found \(schema.summary)")
    }
    let keys = Set(members.map(\.key)).subtracting(Self.annotations)
    for (keyword, others) in [
      ("$ref", []), ("const", ["type"]), ("enum", ["type"]), ("anyOf", []), ("oneOf", []),
    ] as [(String, Set<String>)] where keys.contains(keyword) {
      if let other = keys.subtracting(others).subtracting([keyword]).sorted().first {
        throw error(path, "\(other) beside \(keyword) is not supported")
      }
      switch keyword {
      case "$ref": return .rule(try reference(schema["$ref"], path))
      case "const": return try values([schema["const"]], schema, path)
      case "enum":
        guard case .array(let list) = schema["enum"] else {
          throw error(path, "enum: expected a list of values")
        }
        return try values(list, schema, path)
      default: return try alternatives(schema, keyword, path)
      }
    }
    return try typed(schema, keys, path)
  }

  private mutating func typed(
    _ schema: JSONValue, _ keys: Set<String>, _ path: String
  ) throws(GenerationError) -> GrammarExpression {
    var types: [String] = []
    switch schema["type"] {
    case .null where !keys.contains("type"):
      // Without a type, the keywords say of which types they speak.
      types = Self.keywords.filter { !$0.names.isDisjoint(with: keys) }.map(\.type)
    case .string(let type): types = [type]
    case .array(let list):
      for element in list {
        guard case .string(let type) = element else {
          throw error(path, "type: expected names of types, found \(element.summary)")
        }
        types.append(type)
      }
    default: throw error(path, "type: expected the name of a type")
    }
    var allowed: Set<String> = ["type"]
    for type in types {
      guard let known = Self.keywords.first(where: { $0.type == type }) else {
        throw error(path, "type: expected a type of JSON, found \(type)")
      }
      allowed.formUnion(known.names)
    }
    if let key = keys.subtracting(allowed).sorted().first {
      throw error(
        path,
        "the keyword \(key) is not supported"
          + (types.isEmpty ? "" : " for \(types.joined(separator: ", "))"))
    }
    if types.isEmpty {
      if keys.contains("type") { throw error(path, "type: expected a type, found none") }
      return .rule(JSONGrammar.value)
    }
    var list: [GrammarExpression] = []
    for type in types {
      switch type {
      case "object": list.append(try object(schema, path))
      case "array": list.append(try array(schema, path))
      case "string": list.append(try string(schema, path))
      default: list.append(.rule(JSONGrammar.name(ofType: type)))
      }
    }
    return list.count == 1 ? list[0] : .alternatives(list)
  }

  // MARK: - References

  /// The rule of a reference, which is made later: references may be recursive.
  private mutating func reference(
    _ value: JSONValue, _ path: String
  ) throws(GenerationError) -> String {
    guard case .string(let pointer) = value, pointer == "#" || pointer.hasPrefix("#/") else {
      throw error(path, "$ref: expected one into this schema, #/…, found \(value.summary)")
    }
    if let name = references[pointer] { return name }
    _ = try resolve(pointer, from: path)
    let name = "reference " + pointer
    references[pointer] = name
    openReferences.append((name, pointer))
    return name
  }

  func resolve(_ pointer: String, from path: String) throws(GenerationError) -> JSONValue {
    var value = root
    for part in pointer.dropFirst(2).split(separator: "/", omittingEmptySubsequences: false)
    where pointer != "#" {
      let key = part.replacing("~1", with: "/").replacing("~0", with: "~")
      switch value {
      case .object(let members):
        guard let member = members.last(where: { $0.key == key }) else {
          throw error(path, "$ref: there is no \(pointer)")
        }
        value = member.value
      case .array(let elements):
        guard let index = Int(key), elements.indices.contains(index) else {
          throw error(path, "$ref: there is no \(pointer)")
        }
        value = elements[index]
      default: throw error(path, "$ref: there is no \(pointer)")
      }
    }
    return value
  }

  // MARK: - Lists

  private mutating func array(
    _ schema: JSONValue, _ path: String
  ) throws(GenerationError) -> GrammarExpression {
    let least = try count(schema, "minItems", path) ?? 0
    let most = try count(schema, "maxItems", path)
    if let most, most < least { throw error(path, "maxItems is less than minItems") }
    let items = schema["items"]
    if most == 0 || items == .bool(false) {
      if least > 0 { throw error(path, "minItems of a list that can have no items") }
      return .text("[]")
    }
    let isAny = items == .null || items == .bool(true)
    let name = newName()
    add(name, isAny ? .rule(JSONGrammar.value) : try expression(items, path + "/items"))
    let item = GrammarExpression.rule(name)
    let more = GrammarExpression.repeated(
      .sequence([JSONGrammar.comma, item]), least: max(0, least - 1), most: most.map { $0 - 1 })
    let filled = GrammarExpression.sequence([item, more])
    return .sequence([.text("["), least == 0 ? .optional(filled) : filled, .text("]")])
  }

  /// A keyword that counts, or nil where it is not there.
  func count(
    _ schema: JSONValue, _ key: String, _ path: String
  ) throws(GenerationError) -> Int? {
    switch schema[key] {
    case .integer(let value) where value >= 0: value
    case .null: nil
    default: throw error(path, "\(key): expected a number of 0 or more")
    }
  }

  private func string(
    _ schema: JSONValue, _ path: String
  ) throws(GenerationError) -> GrammarExpression {
    let least = try count(schema, "minLength", path)
    let most = try count(schema, "maxLength", path)
    if let least, let most, most < least { throw error(path, "maxLength is less than minLength") }
    let quote = GrammarExpression.text("\"")
    switch schema["pattern"] {
    case .null: break
    case .string(let pattern):
      if least != nil || most != nil {
        throw error(path, "a pattern with minLength or maxLength is not supported")
      }
      var parser = PatternParser(pattern, path: path)
      return .sequence([quote, try parser.expression(), quote])
    case let other: throw error(path, "pattern: expected a text, found \(other.summary)")
    }
    return .sequence([
      quote, .repeated(.rule(JSONGrammar.character), least: least ?? 0, most: most), quote,
    ])
  }
}
