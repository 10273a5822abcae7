import SystemPackage

/// The `config.json` of a Hugging Face folder, with every value checked as it is read.
///
/// A key that is absent or null takes the default, where the caller gives one: the default of
/// transformers' own configuration class.
struct HuggingFaceConfiguration: Sendable {
  let path: FilePath
  let values: [String: JSONValue]

  /// Dimensions and counts above this are no model's; below it, products of two fit in 64 bits.
  static let countLimit = Int(Int32.max)
  /// Larger than any true one; a few carry a list of thousands of labels.
  private static let sizeLimit = 4 << 20

  init(opening path: FilePath) throws(CheckpointError) {
    let text = try CheckpointFile.contents(of: path, limit: Self.sizeLimit)
    do throws(JSONProblem) {
      values = try JSONValue.object(text)
    } catch {
      throw .damagedJSON(path: path, problem: error.text)
    }
    self.path = path
  }

  /// The value of a key, nil where it is absent or null.
  func value(_ key: String) -> JSONValue? {
    let value = values[key]
    return value == .null ? nil : value
  }

  /// A number of things or a size: 1 to `countLimit`.
  func count(_ key: String, default defaultValue: Int? = nil) throws(CheckpointError) -> Int {
    guard let value = value(key) else {
      guard let defaultValue else { throw .missingKey(path: path, key: key) }
      return defaultValue
    }
    guard case .integer(let count) = value, (1...Self.countLimit).contains(count) else {
      throw invalid(key, expected: "a whole number from 1 to \(Self.countLimit)")
    }
    return count
  }

  /// A finite number above zero.
  func positive(_ key: String, default defaultValue: Float) throws(CheckpointError) -> Float {
    guard let value = value(key) else { return defaultValue }
    guard let number = positiveNumber(value) else {
      throw invalid(key, expected: "a number above 0")
    }
    return number
  }

  func positiveNumber(_ value: JSONValue) -> Float? {
    let number: Float
    switch value {
    case .integer(let value): number = Float(value)
    case .number(let value): number = Float(value)
    default: return nil
    }
    return number.isFinite && number > 0 ? number : nil
  }

  func boolean(_ key: String, default defaultValue: Bool) throws(CheckpointError) -> Bool {
    guard let value = value(key) else { return defaultValue }
    guard case .boolean(let boolean) = value else {
      throw invalid(key, expected: "true or false")
    }
    return boolean
  }

  func string(_ key: String, default defaultValue: String) throws(CheckpointError) -> String {
    guard let value = value(key) else { return defaultValue }
    guard case .string(let string) = value else { throw invalid(key, expected: "a string") }
    return string
  }

  /// The one architecture that `architectures` names.
  func architectureName() throws(CheckpointError) -> String {
    guard let value = value("architectures") else {
      throw .missingKey(path: path, key: "architectures")
    }
    guard case .array(let names) = value, names.count == 1, case .string(let name) = names[0] else {
      throw invalid("architectures", expected: "an array of one string")
    }
    return name
  }

  /// A token id, or the first of an array of them; nil where none is named.
  func tokenID(_ key: String) throws(CheckpointError) -> Int? {
    switch value(key) {
    case nil: return nil
    case .integer(let id): return id
    case .array(let values):
      if values.isEmpty { return nil }
      if case .integer(let id) = values[0] { return id }
    default: break
    }
    throw invalid(key, expected: "a token id or an array of them")
  }

  /// Refuses a setting that changes the mathematics, unless it has the value that changes nothing.
  func require(_ key: String, _ allowed: JSONValue...) throws(CheckpointError) {
    guard let value = value(key), !allowed.contains(value) else { return }
    let supported = allowed.map(\.description) + ["no such key"]
    throw .unsupportedSetting(
      path: path, key: key, found: value.description, supported: supported.joined(separator: ", "))
  }

  /// The error for the value of a key.
  func invalid(_ key: String, expected: String) -> CheckpointError {
    .invalidValue(
      path: path, key: key, expected: expected, found: (values[key] ?? .null).description)
  }
}
