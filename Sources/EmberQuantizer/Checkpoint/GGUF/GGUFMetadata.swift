import SystemPackage

/// The metadata of a GGUF file, with every value checked as it is read.
struct GGUFMetadata: Sendable {
  let path: FilePath
  let values: [String: GGUFValue]
  /// `general.architecture`, which most keys begin with.
  let architecture: String

  /// Dimensions and counts above this are no model's; below it, products of two fit in 64 bits.
  private static let countLimit = HuggingFaceConfiguration.countLimit

  init(_ file: GGUFFile) throws(CheckpointError) {
    path = file.file.path
    values = file.metadata
    guard case .string(let bytes)? = values["general.architecture"] else {
      throw .missingKey(path: path, key: "general.architecture")
    }
    architecture = String(decoding: bytes, as: UTF8.self)
  }

  /// Of a file that is to be written.
  init(path: FilePath, values: [String: GGUFValue], architecture: String) {
    self.path = path
    self.values = values
    self.architecture = architecture
  }

  /// The value of a key of the architecture.
  func value(_ key: String) -> GGUFValue? { values["\(architecture).\(key)"] }

  /// A number of things or a size. Some files give one for each layer: they have to be the same.
  func count(_ key: String, default defaultValue: Int? = nil) throws(CheckpointError) -> Int {
    var found: Int?
    switch value(key) {
    case nil:
      guard let defaultValue else {
        throw .missingKey(path: path, key: "\(architecture).\(key)")
      }
      return defaultValue
    case .integer(let value): found = value
    case .integers(let values):
      if let first = values.first, values.allSatisfy({ $0 == first }) { found = first }
    default: break
    }
    guard let found, (1...Self.countLimit).contains(found) else {
      throw invalid(key, expected: "a whole number from 1 to \(Self.countLimit)")
    }
    return found
  }

  /// A finite number above zero, nil where the file has none.
  func positive(_ key: String) throws(CheckpointError) -> Float? {
    let number: Float
    switch value(key) {
    case nil: return nil
    case .integer(let value): number = Float(value)
    case .number(let value): number = Float(value)
    default: throw invalid(key, expected: "a number above 0")
    }
    guard number.isFinite, number > 0 else { throw invalid(key, expected: "a number above 0") }
    return number
  }

  /// Text, nil where the file has none.
  func string(_ key: String) throws(CheckpointError) -> String? {
    switch value(key) {
    case nil: return nil
    case .string(let bytes): return String(decoding: bytes, as: UTF8.self)
    default: throw invalid(key, expected: "a string")
    }
  }

  /// Refuses a setting that changes the mathematics, unless it has a value that changes nothing.
  func require(_ key: String, _ allowed: GGUFValue...) throws(CheckpointError) {
    guard let value = value(key), !allowed.contains(value) else { return }
    let supported = allowed.map(\.description) + ["no such key"]
    throw .unsupportedSetting(
      path: path, key: "\(architecture).\(key)", found: value.description,
      supported: supported.joined(separator: ", "))
  }

  func invalid(_ key: String, expected: String) -> CheckpointError {
    .invalidValue(
      path: path, key: "\(architecture).\(key)", expected: expected,
      found: value(key)?.description ?? "nothing")
  }
}
