import SystemPackage

/// The `config.json` of a Hugging Face folder, with every value checked as it is read.
///
/// A key that is absent or null takes the default, where the caller gives one: the default of
/// transformers' own configuration class.
struct HuggingFaceConfiguration: Sendable {
  let path: FilePath
  let values: [String: JSONValue]
  /// What errors put before a key: where these values stand within the file.
  private let prefix: String

  /// Dimensions and counts above this are no model's; below it, products of two fit in 64 bits.
  static let countLimit = Int(Int32.max)
  /// Larger than any true one; a few carry a list of thousands of labels.
  private static let sizeLimit = 4 << 20

  init(opening path: FilePath) throws(CheckpointError) {
    try self.init(
      text: try CheckpointFile.contents(of: path, limit: Self.sizeLimit), path: path)
  }

  /// - Parameter path: what errors call it.
  init(text: [UInt8], path: FilePath) throws(CheckpointError) {
    do throws(JSONProblem) {
      values = try JSONValue.object(text)
    } catch {
      throw .damagedJSON(path: path, problem: error.text)
    }
    self.path = path
    prefix = ""
  }

  private init(path: FilePath, values: [String: JSONValue], prefix: String) {
    self.path = path
    self.values = values
    self.prefix = prefix
  }

  /// The object under a key; nil where it is absent, null or empty.
  func object(_ key: String) throws(CheckpointError) -> HuggingFaceConfiguration? {
    guard let value = value(key) else { return nil }
    guard case .object(let values) = value else {
      throw invalid(key, expected: "an object or null")
    }
    return values.isEmpty
      ? nil : HuggingFaceConfiguration(path: path, values: values, prefix: named(key) + ".")
  }

  /// A key as errors call it.
  func named(_ key: String) -> String { prefix + key }

  /// The value of a key, nil where it is absent or null.
  func value(_ key: String) -> JSONValue? {
    let value = values[key]
    return value == .null ? nil : value
  }

  /// A number of things or a size: 1 to `countLimit`.
  func count(_ key: String, default defaultValue: Int? = nil) throws(CheckpointError) -> Int {
    guard let value = value(key) else {
      guard let defaultValue else { throw .missingKey(path: path, key: named(key)) }
      return defaultValue
    }
    guard case .integer(let count) = value, (1...Self.countLimit).contains(count) else {
      throw invalid(key, expected: "a whole number from 1 to \(Self.countLimit)")
    }
    return count
  }

  /// The same where null says that there is none, which an absent key does not.
  func optionalCount(_ key: String, default defaultValue: Int?) throws(CheckpointError) -> Int? {
    switch values[key] {
    case nil: defaultValue
    case .null: nil
    default: try count(key)
    }
  }

  /// A finite number above zero, as a binary32 holds it.
  func positive(_ key: String, default defaultValue: Float?) throws(CheckpointError) -> Float {
    guard let number = try number(key) else {
      guard let defaultValue else { throw .missingKey(path: path, key: named(key)) }
      return defaultValue
    }
    return Float(number)
  }

  /// The same where null says that there is none, which an absent key does not.
  func optionalPositive(
    _ key: String, default defaultValue: Float?
  ) throws(CheckpointError) -> Float? {
    switch values[key] {
    case nil: defaultValue
    case .null: nil
    default: try positive(key, default: nil)
    }
  }

  /// A finite number above zero; nil where the key is absent or null.
  func number(_ key: String) throws(CheckpointError) -> Double? {
    guard let value = value(key) else { return nil }
    guard let number = positiveNumber(value) else {
      throw invalid(key, expected: "a number above 0")
    }
    return number
  }

  /// An array of such numbers.
  func numbers(_ key: String) throws(CheckpointError) -> [Float] {
    guard let value = value(key) else { throw .missingKey(path: path, key: named(key)) }
    guard case .array(let values) = value else {
      throw invalid(key, expected: "an array of numbers above 0")
    }
    var numbers: [Float] = []
    for value in values {
      guard let number = positiveNumber(value) else {
        throw invalid(key, expected: "an array of numbers above 0")
      }
      numbers.append(Float(number))
    }
    return numbers
  }

  private func positiveNumber(_ value: JSONValue) -> Double? {
    let number: Double
    switch value {
    case .integer(let value): number = Double(value)
    case .number(let value): number = value
    default: return nil
    }
    let single = Float(number)
    return single.isFinite && single > 0 ? number : nil
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
      path: path, key: named(key), found: value.description,
      supported: supported.joined(separator: ", "))
  }

  /// The error for the value of a key.
  func invalid(_ key: String, expected: String) -> CheckpointError {
    .invalidValue(
      path: path, key: named(key), expected: expected, found: (values[key] ?? .null).description)
  }
}
