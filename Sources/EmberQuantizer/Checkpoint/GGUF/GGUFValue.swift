/// A value of a GGUF file's metadata.
///
/// Arrays keep their elements in as few bytes as they can: a vocabulary has a few hundred thousand.
enum GGUFValue: Sendable, Equatable {
  case integer(Int)
  /// Of 64 bits, above what `Int` holds.
  case large(UInt64)
  case number(Double)
  case boolean(Bool)
  case string([UInt8])
  case integers([Int])
  case numbers([Float])
  case booleans([Bool])
  case strings(GGUFStrings)
  case array([GGUFValue])
}

/// Many texts, one after the other; they need not be UTF-8.
struct GGUFStrings: Sendable, Equatable {
  private(set) var bytes: [UInt8] = []
  private(set) var ends: [Int32] = []

  var count: Int { ends.count }

  subscript(index: Int) -> ArraySlice<UInt8> {
    bytes[(index == 0 ? 0 : Int(ends[index - 1]))..<Int(ends[index])]
  }

  /// Ends a text whose bytes `add` appends.
  mutating func append<Failure: Error>(
    _ add: (inout [UInt8]) throws(Failure) -> Void
  ) throws(Failure) {
    try add(&bytes)
    ends.append(Int32(bytes.count))
  }
}

/// The types of values, by their number in the file.
enum GGUFValueType: UInt32, Sendable {
  case uint8, int8, uint16, int16, uint32, int32, float32, bool, string, array, uint64, int64
  case float64

  /// The least bytes that one value takes.
  var minimumBytes: Int {
    switch self {
    case .uint8, .int8, .bool: 1
    case .uint16, .int16: 2
    case .uint32, .int32, .float32: 4
    case .string, .uint64, .int64, .float64: 8
    case .array: 12
    }
  }
}

extension GGUFValue: CustomStringConvertible {
  /// The value as an error message shows it.
  var description: String {
    switch self {
    case .integer(let value): "\(value)"
    case .large(let value): "\(value)"
    case .number(let value): "\(value)"
    case .boolean(let value): "\(value)"
    case .string(let value): "\"\(String(decoding: value, as: UTF8.self))\""
    case .integers(let values): "an array of \(values.count)"
    case .numbers(let values): "an array of \(values.count)"
    case .booleans(let values): "an array of \(values.count)"
    case .strings(let values): "an array of \(values.count)"
    case .array(let values): "an array of \(values.count)"
    }
  }
}
