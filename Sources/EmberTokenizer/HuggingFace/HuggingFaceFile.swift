/// The parts of a `tokenizer.json` that Ember understands, each read and checked by itself.
struct HuggingFaceFile {
  let json: JSONValue
  let path: String

  typealias Entry = (piece: String, id: Int)
  typealias Added = (entry: Entry, flags: AddedTokenFlags)

  /// Refuses what changes ids and is not supported.
  func checkUnsupportedParts() throws(TokenizerError) {
    let model = json["model"]
    guard case .object = model else {
      throw invalid("model", expected: "an object", model)
    }
    for field in ["continuing_subword_prefix", "end_of_word_suffix"] {
      let value = model[field]
      if try modelKind() == .wordPiece { continue }
      if value != .null && value != .string("") {
        throw .unsupported(
          path: path, field: "model.\(field)", found: value.summary, supported: "null")
      }
    }
    switch model["dropout"] {
    case .null, .integer(0), .number(0): break
    case let value:
      throw .unsupported(
        path: path, field: "model.dropout", found: value.summary, supported: "null")
    }
  }

  enum ModelKind: String, CaseIterable {
    case bpe = "BPE"
    case unigram = "Unigram"
    case wordPiece = "WordPiece"
    case wordLevel = "WordLevel"
  }

  /// Files older than the field have only BPE without it.
  func modelKind() throws(TokenizerError) -> ModelKind {
    if json["model"]["type"] == .null { return .bpe }
    let name = json["model"]["type"].summary
    guard let kind = ModelKind(rawValue: name) else {
      throw .unsupported(
        path: path, field: "model.type", found: name,
        supported: ModelKind.allCases.map(\.rawValue).joined(separator: ", "))
    }
    return kind
  }

  func modelFlag(_ name: String) throws(TokenizerError) -> Bool {
    try flag(json["model"], name, in: "model", default: false)
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

  /// Unigram: pieces with their scores, and the id that stands for what is unknown.
  func scoredVocabulary() throws(TokenizerError) -> [(piece: String, score: Double)] {
    guard case .array(let elements) = json["model"]["vocab"] else {
      throw invalid("model.vocab", expected: "an array", json["model"]["vocab"])
    }
    var entries: [(piece: String, score: Double)] = []
    entries.reserveCapacity(elements.count)
    for element in elements {
      guard case .array(let pair) = element, pair.count == 2, case .string(let piece) = pair[0]
      else { throw invalid("model.vocab", expected: "pairs of a piece and a score", element) }
      switch pair[1] {
      case .integer(let score): entries.append((piece, Double(score)))
      case .number(let score): entries.append((piece, score))
      default: throw invalid("model.vocab", expected: "pairs of a piece and a score", element)
      }
    }
    return entries
  }

  func modelInteger(_ name: String) throws(TokenizerError) -> Int? {
    switch json["model"][name] {
    case .null: return nil
    case .integer(let value): return value
    case let value: throw invalid("model.\(name)", expected: "an integer or null", value)
    }
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

  func flag(
    _ object: JSONValue, _ name: String, in field: String, default value: Bool
  ) throws(TokenizerError) -> Bool {
    switch object[name] {
    case .null: return value
    case .bool(let found): return found
    case let found: throw invalid("\(field).\(name)", expected: "true or false", found)
    }
  }

  func invalid(
    _ field: String, expected: String, _ found: JSONValue
  ) -> TokenizerError {
    .invalidField(path: path, field: field, expected: expected, found: found.summary)
  }
}
