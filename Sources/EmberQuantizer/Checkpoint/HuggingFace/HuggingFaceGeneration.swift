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
    let path = folder.appending("generation_config.json")
    var value: JSONValue?
    if PathKind(of: path) == .file { value = try self.value("eos_token_id", path) }
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
    let path = folder.appending("tokenizer_config.json")
    guard PathKind(of: path) == .file else { return nil }
    switch try value("chat_template", path) {
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
    let path = folder.appending("tokenizer_config.json")
    guard PathKind(of: path) == .file, case .integer(let count)? = try value("extra_ids", path)
    else { return 100 }
    return min(max(count, 0), 1 << 16)
  }

  /// The value of a key, nil where it is absent or null.
  private static func value(_ key: String, _ path: FilePath) throws(CheckpointError) -> JSONValue? {
    let text = try CheckpointFile.contents(of: path, limit: sizeLimit)
    do throws(JSONProblem) {
      let value = try JSONValue.object(text)[key]
      return value == .null ? nil : value
    } catch {
      throw .damagedJSON(path: path, problem: error.text)
    }
  }
}
