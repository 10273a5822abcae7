import SystemPackage

/// What the files beside `config.json` say of generating text: when a reply ends, and how a
/// conversation is laid out.
enum HuggingFaceGeneration {
  private static let sizeLimit = 16 << 20

  /// The ids that end a reply, sorted, where `generation_config.json` or else `config.json` names
  /// several; none where it names one.
  static func stopTokens(
    folder: FilePath, _ configuration: HuggingFaceConfiguration
  ) throws(CheckpointError) -> [Int] {
    struct Generation: Decodable {
      let endOfSequence: JSONValue?
      enum CodingKeys: String, CodingKey { case endOfSequence = "eos_token_id" }
    }
    let path = folder.appending("generation_config.json")
    var value: JSONValue?
    if PathKind(of: path) == .file { value = try decode(Generation.self, path).endOfSequence }
    value = value ?? configuration.value("eos_token_id")
    guard case .array(let values)? = value, values.count > 1 else { return [] }
    let ids = values.compactMap { if case .integer(let id) = $0 { id } else { nil } }
    return Set(ids).sorted()
  }

  /// The chat template: a file of its own, or the one in `tokenizer_config.json`, of several the one
  /// called "default".
  static func chatTemplate(folder: FilePath) throws(CheckpointError) -> String? {
    let own = folder.appending("chat_template.jinja")
    if PathKind(of: own) == .file {
      let text = try CheckpointFile.contents(of: own, limit: sizeLimit)
      return String(decoding: text, as: UTF8.self)
    }
    struct TokenizerConfiguration: Decodable {
      let chatTemplate: JSONValue?
      enum CodingKeys: String, CodingKey { case chatTemplate = "chat_template" }
    }
    let path = folder.appending("tokenizer_config.json")
    guard PathKind(of: path) == .file else { return nil }
    switch try decode(TokenizerConfiguration.self, path).chatTemplate {
    case .string(let template): return template
    case .array(let templates):
      for case .object(let named) in templates where named["name"] == .string("default") {
        if case .string(let template)? = named["template"] { return template }
      }
      return nil
    default: return nil
    }
  }

  /// How many sentinels stand behind the pieces of a T5's vocabulary: `extra_ids` of
  /// `tokenizer_config.json`, or 100, as in transformers.
  static func sentinelCount(folder: FilePath) throws(CheckpointError) -> Int {
    struct TokenizerConfiguration: Decodable {
      let sentinels: JSONValue?
      enum CodingKeys: String, CodingKey { case sentinels = "extra_ids" }
    }
    let path = folder.appending("tokenizer_config.json")
    guard PathKind(of: path) == .file,
      case .integer(let count)? = try decode(TokenizerConfiguration.self, path).sentinels
    else { return 100 }
    return min(max(count, 0), 1 << 16)
  }

  private static func decode<Value: Decodable>(
    _ type: Value.Type, _ path: FilePath
  ) throws(CheckpointError) -> Value {
    let text = try CheckpointFile.contents(of: path, limit: sizeLimit)
    do throws(JSONProblem) {
      return try decodeJSON(type, from: text)
    } catch {
      throw .damagedJSON(path: path, problem: error.text)
    }
  }
}
