/// A value of a GGUF file's metadata, in the types that Ember writes.
enum GGUFField {
  case uint32(Int)
  case float32(Float)
  case boolean(Bool)
  case string([UInt8])
  case strings([[UInt8]])
  case floats([Float])
  case integers([Int32])

  static func text(_ text: String) -> GGUFField { .string(Array(text.utf8)) }

  private var type: GGUFValueType {
    switch self {
    case .uint32: .uint32
    case .float32: .float32
    case .boolean: .bool
    case .string: .string
    case .strings, .floats, .integers: .array
    }
  }

  /// The type, and the value behind it.
  func append(to bytes: inout [UInt8]) {
    bytes += LittleEndianBytes.of(type.rawValue)
    switch self {
    case .uint32(let value): bytes += LittleEndianBytes.of(UInt32(truncatingIfNeeded: value))
    case .float32(let value): bytes += LittleEndianBytes.of(value.bitPattern)
    case .boolean(let value): bytes.append(value ? 1 : 0)
    case .string(let value): Self.append(value, to: &bytes)
    case .strings(let values):
      Self.appendHeader(.string, count: values.count, to: &bytes)
      for value in values { Self.append(value, to: &bytes) }
    case .floats(let values):
      Self.appendHeader(.float32, count: values.count, to: &bytes)
      for value in values { bytes += LittleEndianBytes.of(value.bitPattern) }
    case .integers(let values):
      Self.appendHeader(.int32, count: values.count, to: &bytes)
      for value in values { bytes += LittleEndianBytes.of(value) }
    }
  }

  /// The length, and the bytes.
  static func append(_ text: [UInt8], to bytes: inout [UInt8]) {
    bytes += LittleEndianBytes.of(UInt64(text.count))
    bytes += text
  }

  private static func appendHeader(_ type: GGUFValueType, count: Int, to bytes: inout [UInt8]) {
    bytes += LittleEndianBytes.of(type.rawValue)
    bytes += LittleEndianBytes.of(UInt64(count))
  }

  /// As a reader has it; only of what describes a model, which no array does.
  var value: GGUFValue? {
    switch self {
    case .uint32(let value): .integer(value)
    case .float32(let value): .number(Double(value))
    case .boolean(let value): .boolean(value)
    case .string(let value): .string(value)
    case .strings, .floats, .integers: nil
    }
  }
}
