extension HuggingFaceFile {
  /// The ids that the post-processor puts before and after a single text.
  func template() throws(TokenizerError) -> (prefix: [Int], suffix: [Int]) {
    let field = "post_processor"
    var found: (prefix: [Int], suffix: [Int])?
    for step in try flattened(json[field], list: "processors", field) {
      let name = step["type"].summary
      let next: (prefix: [Int], suffix: [Int])
      switch name {
      case "ByteLevel": continue
      case "TemplateProcessing": next = try template(step)
      case "BertProcessing", "RobertaProcessing":
        next = ([try pairId(step, "cls")], [try pairId(step, "sep")])
      default:
        throw .unsupported(
          path: path, field: field, found: name,
          supported: "TemplateProcessing, BertProcessing, RobertaProcessing, ByteLevel, Sequence")
      }
      if found != nil {
        throw .unsupported(
          path: path, field: field, found: "several steps that add tokens", supported: "one")
      }
      found = next
    }
    return found ?? ([], [])
  }

  /// A step, or the steps of a (nested) `Sequence`.
  func flattened(
    _ value: JSONValue, list: String, _ field: String
  ) throws(TokenizerError) -> [JSONValue] {
    if value == .null { return [] }
    guard value["type"] == .string("Sequence") else { return [value] }
    guard case .array(let parts) = value[list] else {
      throw invalid("\(field).\(list)", expected: "an array", value[list])
    }
    var steps: [JSONValue] = []
    // The parser limits the depth.
    for part in parts { steps += try flattened(part, list: list, field) }
    return steps
  }

  private func pairId(_ step: JSONValue, _ name: String) throws(TokenizerError) -> Int {
    guard case .array(let pair) = step[name], pair.count == 2, case .integer(let id) = pair[1]
    else {
      throw invalid("post_processor.\(name)", expected: "a pair of a token and an id", step[name])
    }
    return id
  }

  private func template(
    _ step: JSONValue
  ) throws(TokenizerError) -> (prefix: [Int], suffix: [Int]) {
    let field = "post_processor.single"
    guard case .array(let parts) = step["single"] else {
      throw invalid(field, expected: "an array", step["single"])
    }
    // Real templates have two or three; each is looked up among the special tokens.
    guard parts.count <= 64 else {
      throw invalid(field, expected: "at most 64 parts", .string("\(parts.count) parts"))
    }
    var prefix: [Int] = []
    var suffix: [Int] = []
    var textCount = 0
    for part in parts {
      guard case .object(let members) = part, let member = members.first, members.count == 1 else {
        throw invalid(field, expected: "a SpecialToken or a Sequence", part)
      }
      switch member.key {
      case "Sequence":
        textCount += 1
      case "SpecialToken":
        let ids = try specialIds(step, member.value["id"])
        if textCount == 0 { prefix += ids } else { suffix += ids }
      default:
        throw invalid(field, expected: "a SpecialToken or a Sequence", .string(member.key))
      }
    }
    if textCount != 1 {
      throw .unsupported(
        path: path, field: field, found: "the text \(textCount) times", supported: "once")
    }
    return (prefix, suffix)
  }

  private func specialIds(_ step: JSONValue, _ name: JSONValue) throws(TokenizerError) -> [Int] {
    let field = "post_processor.special_tokens"
    guard case .string(let name) = name,
      case .array(let values) = step["special_tokens"][name]["ids"]
    else { throw invalid(field, expected: "an entry with ids for each token", name) }
    var ids: [Int] = []
    for value in values {
      guard case .integer(let id) = value else { throw invalid(field, expected: "ids", value) }
      ids.append(id)
    }
    return ids
  }
}
