/// Parses the beginning of a GGUF file, one value after the other.
///
/// All counts are held against the bytes that remain; besides, a file of any size may have at most
/// so much of everything as no model has, since a file with holes takes no place on its disk.
struct GGUFParser {
  enum Failure: Error {
    case problem(String)
    case unsupported(String)
    case file(CheckpointError)
  }

  /// True vocabularies take up to 20 MB.
  private static let metadataLimit = 32 << 20
  private static let keyLimit = 1 << 16
  /// Of all arrays together; the largest vocabularies with their merges have 900,000.
  private static let elementLimit = 3 << 19
  private static let tensorLimit = 1 << 16
  private static let nameLimit = 1 << 16
  private static let dimensionLimit = 4
  private static let depthLimit = 4
  /// Of arrays, those in arrays included.
  private static let arrayLimit = 1 << 12

  private var cursor: FileCursor
  private var tensorCount = 0
  private var keyCount = 0
  private var elementsLeft = elementLimit
  private var arraysLeft = arrayLimit

  init(_ file: CheckpointFile) { cursor = FileCursor(file) }

  /// The version, 2 or 3.
  mutating func header() throws(Failure) -> Int {
    guard try integer(UInt32.self, "the magic") == 0x4655_4747 else {
      throw .problem("expected GGUF as its first bytes")
    }
    let version = try integer(UInt32.self, "the version")
    if version & 0xFFFF == 0 {
      throw .unsupported("a big-endian GGUF file")
    }
    guard version == 2 || version == 3 else {
      throw .unsupported("a GGUF file of version \(version)")
    }
    tensorCount = try count(
      UInt64.self, "tensors", each: 24, limit: Self.tensorLimit)
    keyCount = try count(UInt64.self, "metadata keys", each: 13, limit: Self.keyLimit)
    return Int(version)
  }

  // MARK: Metadata

  mutating func metadata() throws(Failure) -> [String: GGUFValue] {
    var values: [String: GGUFValue] = [:]
    for _ in 0..<keyCount {
      let key = String(decoding: try string("a metadata key", limit: Self.nameLimit), as: UTF8.self)
      let type = try valueType("of '\(key)'")
      let value = try value(type, of: key, depth: 0)
      guard values.updateValue(value, forKey: key) == nil else {
        throw .problem("the metadata key '\(key)' appears twice")
      }
      guard cursor.offset <= Self.metadataLimit else {
        throw .problem("expected at most \(Self.metadataLimit) bytes of metadata")
      }
    }
    return values
  }

  private mutating func valueType(_ what: String) throws(Failure) -> GGUFValueType {
    let number = try integer(UInt32.self, "the type " + what)
    guard let type = GGUFValueType(rawValue: number) else {
      throw .problem("the type \(what): expected 0 to 12, found \(number)")
    }
    return type
  }

  private mutating func value(
    _ type: GGUFValueType, of key: String, depth: Int
  ) throws(Failure) -> GGUFValue {
    switch type {
    case .uint8: return .integer(Int(try integer(UInt8.self, key)))
    case .int8: return .integer(Int(try integer(Int8.self, key)))
    case .uint16: return .integer(Int(try integer(UInt16.self, key)))
    case .int16: return .integer(Int(try integer(Int16.self, key)))
    case .uint32: return .integer(Int(try integer(UInt32.self, key)))
    case .int32: return .integer(Int(try integer(Int32.self, key)))
    case .uint64:
      let value = try integer(UInt64.self, key)
      return Int(exactly: value).map(GGUFValue.integer) ?? .large(value)
    case .int64: return .integer(Int(try integer(Int64.self, key)))
    case .float32: return .number(Double(Float(bitPattern: try integer(UInt32.self, key))))
    case .float64: return .number(Double(bitPattern: try integer(UInt64.self, key)))
    case .bool: return .boolean(try boolean(key))
    case .string: return .string(try string("the value of '\(key)'", limit: Self.metadataLimit))
    case .array: return try array(of: key, depth: depth + 1)
    }
  }

  private mutating func array(of key: String, depth: Int) throws(Failure) -> GGUFValue {
    guard depth <= Self.depthLimit else {
      throw .problem("'\(key)': expected at most \(Self.depthLimit) levels of arrays, found more")
    }
    arraysLeft -= 1
    guard arraysLeft >= 0 else {
      throw .problem("'\(key)': expected at most \(Self.arrayLimit) arrays in all, found more")
    }
    let type = try valueType("of the elements of '\(key)'")
    let count = try count(
      UInt64.self, "elements of '\(key)'", each: type.minimumBytes, limit: elementsLeft)
    elementsLeft -= count
    switch type {
    case .bool:
      var values: [Bool] = []
      for _ in 0..<count { values.append(try boolean(key)) }
      return .booleans(values)
    case .uint8, .int8, .uint16, .int16, .uint32, .int32, .uint64, .int64:
      var values: [Int] = []
      for _ in 0..<count {
        guard case .integer(let value) = try value(type, of: key, depth: depth) else {
          throw .problem("'\(key)': expected elements below 2^63")
        }
        values.append(value)
      }
      return .integers(values)
    case .float32, .float64:
      var values: [Float] = []
      for _ in 0..<count {
        if case .number(let value) = try value(type, of: key, depth: depth) {
          values.append(Float(value))
        }
      }
      return .numbers(values)
    case .string:
      var values = GGUFStrings()
      for _ in 0..<count {
        let length = try self.count(
          UInt64.self, "bytes of an element of '\(key)'", each: 1,
          limit: Self.metadataLimit - values.bytes.count)
        try values.append { bytes throws(Failure) in try append(length, to: &bytes, key) }
      }
      return .strings(values)
    case .array:
      var values: [GGUFValue] = []
      for _ in 0..<count { values.append(try array(of: key, depth: depth + 1)) }
      return .array(values)
    }
  }

  // MARK: Directory

  /// The alignment of the data, 32 where nothing is said.
  func alignment(_ metadata: [String: GGUFValue]) throws(Failure) -> Int {
    guard let value = metadata["general.alignment"] else { return 32 }
    guard case .integer(let alignment) = value, (8...1 << 20).contains(alignment),
      alignment & (alignment - 1) == 0
    else { throw .problem("general.alignment: expected a power of two, 8 to 2^20, found \(value)") }
    return alignment
  }

  mutating func directory(alignment: Int) throws(Failure) -> [String: GGUFFile.Tensor] {
    var records: [(name: String, type: UInt32, shape: [Int], offset: Int, bytes: Int?)] = []
    for _ in 0..<tensorCount {
      let name = String(
        decoding: try string("a tensor's name", limit: Self.nameLimit), as: UTF8.self)
      let rank = try integer(UInt32.self, "dimensions of '\(name)'")
      guard (1...Self.dimensionLimit).contains(Int(rank)) else {
        throw .problem("tensor '\(name)': expected 1 to 4 dimensions, found \(rank)")
      }
      var shape: [Int] = []
      for _ in 0..<rank {
        let size = try integer(UInt64.self, "dimensions of '\(name)'")
        guard (1...UInt64(Int32.max)).contains(size) else {
          throw .problem("tensor '\(name)': expected dimensions of 1 to 2^31 - 1, found \(size)")
        }
        shape.insert(Int(size), at: 0)
      }
      let type = try integer(UInt32.self, "the type of '\(name)'")
      let offset = try integer(UInt64.self, "the offset of '\(name)'")
      guard let offset = Int(exactly: offset), offset % alignment == 0 else {
        throw .problem(
          "tensor '\(name)': expected an offset in multiples of \(alignment), found \(offset)")
      }
      records.append((name, type, shape, offset, try Self.byteCount(name, type, shape)))
    }
    let start = (cursor.offset + alignment - 1) / alignment * alignment
    var tensors: [String: GGUFFile.Tensor] = [:]
    for record in records {
      guard record.offset <= cursor.end - start,
        record.bytes ?? 0 <= cursor.end - start - record.offset
      else {
        throw .problem(
          "tensor '\(record.name)': expected to end within the \(max(cursor.end - start, 0)) bytes"
            + " of data, found \(record.bytes ?? 0) bytes at \(record.offset)")
      }
      let tensor = GGUFFile.Tensor(
        type: record.type, shape: record.shape, offset: start + record.offset)
      guard tensors.updateValue(tensor, forKey: record.name) == nil else {
        throw .problem("the tensor '\(record.name)' appears twice")
      }
    }
    try Self.checkOverlap(records.map { ($0.name, $0.offset, $0.bytes ?? 0) })
    return tensors
  }

  /// The bytes of a tensor, nil for a type whose blocks are not known.
  private static func byteCount(
    _ name: String, _ type: UInt32, _ shape: [Int]
  ) throws(Failure) -> Int? {
    guard let stored = GGUFTensorType.storedType(type) else { return nil }
    var elements = 1
    for size in shape {
      let (product, overflow) = elements.multipliedReportingOverflow(by: size)
      guard !overflow else {
        throw .problem("tensor '\(name)': no memory holds the shape \(shape)")
      }
      elements = product
    }
    guard shape[shape.count - 1] % stored.blockElements == 0 else {
      throw .problem(
        "tensor '\(name)': expected rows in multiples of \(stored.blockElements) elements for"
          + " \(stored.rawValue), found the shape \(shape)")
    }
    guard let bytes = stored.byteCount(of: elements) else {
      throw .problem("tensor '\(name)': no memory holds the shape \(shape)")
    }
    return bytes
  }

  private static func checkOverlap(_ ranges: [(String, Int, Int)]) throws(Failure) {
    var end = 0
    for (name, offset, bytes) in ranges.sorted(by: { ($0.1, $0.2) < ($1.1, $1.2) }) {
      guard offset >= end else {
        throw .problem(
          "tensor '\(name)' overlaps the one before: expected to begin at \(end) or"
            + " later, found \(offset)")
      }
      end = offset + bytes
    }
  }
}

// MARK: - Reading

extension GGUFParser {
  private mutating func integer<Value: FixedWidthInteger>(
    _ type: Value.Type, _ what: String
  ) throws(Failure) -> Value {
    do throws(FileCursor.Problem) {
      return try cursor.integer(type)
    } catch {
      throw Self.failure(error, what)
    }
  }

  private mutating func boolean(_ key: String) throws(Failure) -> Bool {
    let value = try integer(UInt8.self, key)
    guard value <= 1 else {
      throw .problem("'\(key)': expected 0 or 1 for a boolean, found \(value)")
    }
    return value == 1
  }

  private mutating func append(
    _ count: Int, to bytes: inout [UInt8], _ what: String
  ) throws(Failure) {
    do throws(FileCursor.Problem) {
      try cursor.append(count, to: &bytes)
    } catch {
      throw Self.failure(error, what)
    }
  }

  private mutating func string(_ what: String, limit: Int) throws(Failure) -> [UInt8] {
    let length = try count(UInt64.self, "bytes of \(what)", each: 1, limit: limit)
    var bytes: [UInt8] = []
    try append(length, to: &bytes, what)
    return bytes
  }

  /// A number of things, of which the file still has to have that many times `each` bytes.
  private mutating func count<Value: FixedWidthInteger>(
    _ type: Value.Type, _ what: String, each: Int, limit: Int
  ) throws(Failure) -> Int {
    let value = try integer(type, "the number of \(what)")
    let most = min(cursor.remaining / each, limit)
    guard value <= most else {
      throw .problem("\(what): expected at most \(most) by the bytes that remain, found \(value)")
    }
    return Int(value)
  }

  private static func failure(_ problem: FileCursor.Problem, _ what: String) -> Failure {
    switch problem {
    case .file(let error): .file(error)
    case .end(let end):
      .problem("ended at byte \(end.offset + end.remaining) within \(what): the file is truncated")
    }
  }
}
