/// The header of a safetensors file: which tensors it holds and where.
///
/// The checks are those of the format's own `validate()`
/// (<https://github.com/huggingface/safetensors>): the tensors cover the data after the header
/// without overlap and without gap, and each takes exactly the bytes that its shape calls for.
struct SafetensorsHeader: Sendable {
  struct Record: Sendable, Equatable {
    let type: String
    let shape: [Int]
    /// Bytes, from the start of the data.
    let range: Range<Int>
  }

  let records: [String: Record]

  /// Bits of one element, for the types that the format defines.
  static let bitsOfType = [
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "U16": 16, "I16": 16,
    "F16": 16, "BF16": 16, "U32": 32, "I32": 32, "F32": 32, "U64": 64, "I64": 64, "F64": 64,
    "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
  ]

  /// Why a header is refused; `tensor` where one record is to blame.
  struct Problem: Error, Equatable {
    var tensor: String?
    let text: String
  }

  /// Parses and checks the header's JSON text for a file with `dataSize` bytes of data.
  ///
  /// Complexity: O(n log n) in the number of tensors, which the length of the text bounds.
  init(text: [UInt8], dataSize: Int) throws(Problem) {
    guard text.first == UInt8(ascii: "{") else {
      throw Problem(text: "expected { as its first byte")
    }
    do throws(JSONProblem) {
      records = try decodeJSON(RawHeader.self, from: text).records
    } catch {
      throw Problem(text: error.text)
    }
    for (name, record) in records { try Self.check(record, name: name, dataSize: dataSize) }
    try checkCoverage(of: dataSize)
  }

  private static func check(
    _ record: Record, name: String, dataSize: Int
  ) throws(Problem) {
    guard record.range.upperBound <= dataSize else {
      throw Problem(
        tensor: name,
        text: "expected to end within the \(dataSize) bytes of data, found its end at "
          + "\(record.range.upperBound), \(record.range.upperBound - dataSize) bytes missing")
    }
    // A type that is not known is trouble only if the tensor turns out to be needed.
    guard let bits = bitsOfType[record.type] else { return }
    var total = bits
    for dimension in record.shape {
      let (product, overflow) = total.multipliedReportingOverflow(by: dimension)
      guard dimension >= 0, !overflow else {
        throw Problem(tensor: name, text: "no memory holds the shape \(record.shape)")
      }
      total = product
    }
    guard total % 8 == 0 else {
      throw Problem(
        tensor: name, text: "\(record.type) of shape \(record.shape) does not fill whole bytes")
    }
    guard total / 8 == record.range.count else {
      throw Problem(
        tensor: name,
        text: "\(record.type) of shape \(record.shape) takes \(total / 8) bytes, found "
          + "\(record.range.count)")
    }
  }

  private func checkCoverage(of dataSize: Int) throws(Problem) {
    let sorted = records.sorted {
      ($0.value.range.lowerBound, $0.value.range.upperBound, $0.key)
        < ($1.value.range.lowerBound, $1.value.range.upperBound, $1.key)
    }
    var end = 0
    for (name, record) in sorted {
      guard record.range.lowerBound == end else {
        throw Problem(
          tensor: name,
          text: "\(record.range.lowerBound < end ? "overlaps the one before" : "leaves a gap")"
            + ": expected to begin at \(end), found \(record.range.lowerBound)")
      }
      end = record.range.upperBound
    }
    guard end == dataSize else {
      throw Problem(
        text: "the tensors end at byte \(end) of \(dataSize) bytes of data: "
          + "\(dataSize - end) too many")
    }
  }
}

/// The header as JSON spells it, with the checks that one record allows by itself.
private struct RawHeader: Decodable {
  var records: [String: SafetensorsHeader.Record] = [:]

  private struct Name: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }

  private struct RawRecord: Decodable {
    let dtype: String
    let shape: [Int]
    let dataOffsets: [Int]

    enum CodingKeys: String, CodingKey {
      case dtype, shape
      case dataOffsets = "data_offsets"
    }
  }

  /// More dimensions than any tensor of a model has.
  private static let dimensionLimit = 8

  init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: Name.self)
    for key in container.allKeys where key.stringValue != "__metadata__" {
      let raw = try container.decode(RawRecord.self, forKey: key)
      func refuse(_ reason: String) -> DecodingError {
        DecodingError.dataCorrupted(.init(codingPath: [key], debugDescription: reason))
      }
      guard raw.shape.count <= Self.dimensionLimit, raw.shape.allSatisfy({ $0 >= 0 }) else {
        throw refuse("expected a shape of at most \(Self.dimensionLimit) dimensions, none negative")
      }
      guard raw.dataOffsets.count == 2, raw.dataOffsets[0] >= 0,
        raw.dataOffsets[0] <= raw.dataOffsets[1]
      else { throw refuse("expected data_offsets of a begin and an end that is not before it") }
      records[key.stringValue] = SafetensorsHeader.Record(
        type: raw.dtype, shape: raw.shape, range: raw.dataOffsets[0]..<raw.dataOffsets[1])
    }
  }
}
