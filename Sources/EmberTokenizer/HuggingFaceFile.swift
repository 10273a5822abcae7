/// The parts of a `tokenizer.json` that Ember understands, each read and checked by itself.
struct HuggingFaceFile {
  let json: JSONValue
  let path: String

  typealias Entry = (piece: String, id: Int)
  typealias Added = (entry: Entry, flags: AddedTokenFlags)

  // MARK: What must not be there

  func checkUnsupportedParts() throws(TokenizerError) {
    let model = json["model"]
    guard case .object = model else {
      throw invalid("model", expected: "an object", model)
    }
    // Files older than the field have only BPE without it.
    let type = model["type"] == .null ? "BPE" : model["type"].summary
    if type != "BPE" {
      throw .unsupported(path: path, field: "model.type", found: type, supported: "BPE")
    }
    try require("normalizer", type: json["normalizer"], supported: ["null"])
    try require("decoder", type: json["decoder"], supported: ["null", "ByteLevel"])
    for field in ["continuing_subword_prefix", "end_of_word_suffix"] {
      let value = model[field]
      if value != .null && value != .string("") {
        throw .unsupported(
          path: path, field: "model.\(field)", found: value.summary, supported: "null")
      }
    }
    if model["byte_fallback"] == .bool(true) {
      throw .unsupported(
        path: path, field: "model.byte_fallback", found: "true",
        supported: "false (bytes are the pre-tokenizer's business)")
    }
    switch model["dropout"] {
    case .null, .integer(0), .number(0): break
    case let value:
      throw .unsupported(
        path: path, field: "model.dropout", found: value.summary, supported: "null")
    }
  }

  private func require(
    _ field: String, type value: JSONValue, supported: [String]
  ) throws(TokenizerError) {
    let found = value == .null ? "null" : value["type"].summary
    if supported.contains(found) { return }
    throw .unsupported(
      path: path, field: field, found: found, supported: supported.joined(separator: ", "))
  }

  // MARK: The steps

  func preTokenizer(_ options: inout TokenizerOptions) throws(TokenizerError) -> PreTokenizer {
    var step = json["pre_tokenizer"]
    let supported = "ByteLevel"
    if step["type"] == .string("Sequence"), case .array(let steps) = step["pretokenizers"] {
      guard steps.count == 1 else {
        let names = steps.map { $0["type"].summary }.joined(separator: ", ")
        throw .unsupported(
          path: path, field: "pre_tokenizer", found: "Sequence of \(names)", supported: supported)
      }
      step = steps[0]
    }
    try require("pre_tokenizer", type: step, supported: [supported])
    if try flag(step, "add_prefix_space", in: "pre_tokenizer", default: true) {
      options.insert(.addsPrefixSpace)
    }
    return try flag(step, "use_regex", in: "pre_tokenizer", default: true) ? .gpt2 : .wholeText
  }

  func modelOptions(_ options: inout TokenizerOptions) throws(TokenizerError) {
    if try flag(json["model"], "ignore_merges", in: "model", default: false) {
      options.insert(.ignoresMerges)
    }
    if try flag(json["model"], "fuse_unk", in: "model", default: false) {
      options.insert(.fusesUnknown)
    }
  }

  /// The ids that the post-processor puts before and after a single text.
  func template() throws(TokenizerError) -> (prefix: [Int], suffix: [Int]) {
    var steps = [json["post_processor"]]
    if case .array(let processors) = steps[0]["processors"],
      steps[0]["type"] == .string("Sequence")
    {
      steps = processors
    }
    var found: (prefix: [Int], suffix: [Int])?
    for step in steps {
      try require(
        "post_processor", type: step, supported: ["null", "ByteLevel", "TemplateProcessing"])
      guard step["type"] == .string("TemplateProcessing") else { continue }
      if found != nil {
        throw .unsupported(
          path: path, field: "post_processor", found: "several TemplateProcessing steps",
          supported: "one")
      }
      found = try template(step)
    }
    return found ?? ([], [])
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

  // MARK: The tables

  func vocabulary() throws(TokenizerError) -> [Entry] {
    guard case .object(let members) = json["model"]["vocab"] else {
      throw invalid("model.vocab", expected: "an object", json["model"]["vocab"])
    }
    var entries: [Entry] = []
    for member in members {
      guard case .integer(let id) = member.value else {
        throw invalid("model.vocab", expected: "an integer id for each piece", member.value)
      }
      entries.append((member.key, id))
    }
    return entries
  }

  func unknownToken() throws(TokenizerError) -> String? {
    switch json["model"]["unk_token"] {
    case .null: return nil
    case .string(let token): return token
    case let value: throw invalid("model.unk_token", expected: "a string or null", value)
    }
  }

  /// Written as "left right", or as [left, right] since pieces may contain spaces.
  func merges() throws(TokenizerError) -> [(left: String, right: String)] {
    guard case .array(let elements) = json["model"]["merges"] else {
      throw invalid("model.merges", expected: "an array", json["model"]["merges"])
    }
    var merges: [(left: String, right: String)] = []
    for element in elements {
      switch element {
      case .string(let line):
        // The version line of merges.txt, which old converters copied along.
        if line.hasPrefix("#version") { continue }
        let parts = line.unicodeScalars.split(separator: " ", omittingEmptySubsequences: false)
        guard parts.count == 2 else {
          throw invalid("model.merges", expected: "two tokens with a space between", element)
        }
        merges.append((String(parts[0]), String(parts[1])))
      case .array(let pair):
        guard pair.count == 2, case .string(let left) = pair[0], case .string(let right) = pair[1]
        else { throw invalid("model.merges", expected: "a pair of strings", element) }
        merges.append((left, right))
      default:
        throw invalid("model.merges", expected: "strings or pairs of strings", element)
      }
    }
    return merges
  }

  func addedTokens() throws(TokenizerError) -> [Added] {
    let field = "added_tokens"
    guard case .array(let elements) = json[field] else {
      if json[field] == .null { return [] }
      throw invalid(field, expected: "an array", json[field])
    }
    var tokens: [Added] = []
    for element in elements {
      guard case .string(let content) = element["content"], case .integer(let id) = element["id"]
      else { throw invalid(field, expected: "an id and a content", element) }
      var flags: AddedTokenFlags = []
      for (name, flag) in [
        ("special", AddedTokenFlags.special), ("normalized", .normalized),
        ("single_word", .singleWord), ("lstrip", .stripsLeft), ("rstrip", .stripsRight),
      ] where try self.flag(element, name, in: field, default: false) {
        flags.insert(flag)
      }
      tokens.append(((content, id), flags))
    }
    return tokens
  }

  // MARK: Helpers

  private func flag(
    _ object: JSONValue, _ name: String, in field: String, default value: Bool
  ) throws(TokenizerError) -> Bool {
    switch object[name] {
    case .null: return value
    case .bool(let found): return found
    case let found: throw invalid("\(field).\(name)", expected: "true or false", found)
    }
  }

  private func invalid(
    _ field: String, expected: String, _ found: JSONValue
  ) -> TokenizerError {
    .invalidField(path: path, field: field, expected: expected, found: found.summary)
  }
}
