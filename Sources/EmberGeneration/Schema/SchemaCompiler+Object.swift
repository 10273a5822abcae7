import EmberTokenizer

extension SchemaCompiler {
  /// An object: the properties in the order of the schema, then those that it does not name.
  mutating func object(
    _ schema: JSONValue, _ path: String
  ) throws(GenerationError) -> GrammarExpression {
    var properties: [JSONValue.Member] = []
    switch schema["properties"] {
    case .null: break
    case .object(let members):
      properties = members.map { .init(key: $0.key, value: $0.value) }
    case let other: throw error(path, "properties: expected an object, found \(other.summary)")
    }
    let additional = schema["additionalProperties"]
    let required = try required(schema, path)
    for name in required.sorted() where !properties.contains(where: { $0.key == name }) {
      if additional == .bool(false) {
        throw error(path, "required: \(name) is not among the properties, and no others may be")
      }
      let isAny = additional == .null || additional == .bool(true)
      properties.append(.init(key: name, value: isAny ? .bool(true) : additional))
    }
    let isOpen =
      additional == .null
      ? properties.isEmpty && schema["properties"] == .null : additional != .bool(false)
    var others: GrammarExpression?
    if isOpen {
      others = try self.others(
        properties.map(\.key), additional == .null ? .bool(true) : additional, path)
    }
    return .sequence([
      .text("{"), try members(properties, required, others, path), .text("}"),
    ])
  }

  private func required(
    _ schema: JSONValue, _ path: String
  ) throws(GenerationError) -> Set<String> {
    var names: Set<String> = []
    switch schema["required"] {
    case .null: break
    case .array(let list):
      for element in list {
        guard case .string(let name) = element else {
          throw error(path, "required: expected names, found \(element.summary)")
        }
        names.insert(name)
      }
    case let other: throw error(path, "required: expected a list, found \(other.summary)")
    }
    return names
  }

  /// What stands between the braces. Two rules for each property: what may follow if something stands
  /// before it, and if nothing does.
  private mutating func members(
    _ properties: [JSONValue.Member], _ required: Set<String>, _ others: GrammarExpression?,
    _ path: String
  ) throws(GenerationError) -> GrammarExpression {
    var following = GrammarExpression.nothing
    var first = GrammarExpression.nothing
    if let others {
      following = .repeated(.sequence([JSONGrammar.comma, others]), least: 0, most: nil)
      first = .optional(.sequence([others, following]))
    }
    for property in properties.reversed() {
      let (rest, valueName) = (newName(), newName())
      add(rest, following)
      add(valueName, try expression(property.value, "\(path)/properties/\(property.key)"))
      let member = GrammarExpression.sequence([
        .text(JSONGrammar.text(.string(property.key))), JSONGrammar.colon, .rule(valueName),
        .rule(rest),
      ])
      let followed = GrammarExpression.sequence([JSONGrammar.comma, member])
      if required.contains(property.key) {
        following = followed
        first = member
      } else {
        let begun = newName()
        add(begun, first)
        following = .alternatives([followed, .rule(rest)])
        first = .alternatives([member, .rule(begun)])
      }
    }
    return first
  }

  /// A member whose name is none of these.
  private mutating func others(
    _ names: [String], _ schema: JSONValue, _ path: String
  ) throws(GenerationError) -> GrammarExpression {
    let valueName = newName()
    add(valueName, try expression(schema, path + "/additionalProperties"))
    // Names with escapes are left out: they could be others in disguise.
    let plain = names.map { Array($0.unicodeScalars) }.filter { name in
      name.allSatisfy { JSONGrammar.plain.contains($0.value) }
    }
    return .sequence([
      .text("\""), try other(than: plain, depth: 0, path), .text("\""), JSONGrammar.colon,
      .rule(valueName),
    ])
  }

  /// A text that is none of these, which share their first `depth` characters.
  private func other(
    than names: [[Unicode.Scalar]], depth: Int, _ path: String
  ) throws(GenerationError) -> GrammarExpression {
    if depth > 64 {
      throw error(path, "additionalProperties beside names longer than 64 is not supported")
    }
    let any = GrammarExpression.repeated(.characters(JSONGrammar.plain), least: 0, most: nil)
    let groups = Dictionary(grouping: names.filter { $0.count > depth }) { $0[depth] }
    var list: [GrammarExpression] = []
    for (scalar, group) in groups.sorted(by: { $0.key < $1.key }) {
      list.append(
        .sequence([.text(String(scalar)), try other(than: group, depth: depth + 1, path)]))
    }
    let rest = JSONGrammar.plain.subtracting(CharacterRanges(groups.keys))
    list.append(.sequence([.characters(rest), any]))
    if !names.contains(where: { $0.count == depth }) { list.append(.nothing) }
    return .alternatives(list)
  }
}
