/// How the key/value cache stores its numbers; the raw value is what `--cache-bits` takes.
///
/// ```swift
/// let session = try InferenceSession(model: model, cachePrecision: .int8KeysInt4Values)
/// ```
///
/// Codes are in blocks of 32 dimensions of a position, with a half as scale: half a bit more per
/// number, where the dimension of a head is a multiple of 32. Where keys are codes, queries are
/// rounded to int8 too. Keys get no fewer bits than values: an error in a score is an error in the
/// exponent of a weight.
public enum CachePrecision: String, Sendable, CaseIterable {
  /// Half precision.
  case half = "16"
  /// Keys and values as int8 codes.
  case int8 = "8"
  /// Keys as int8 codes, values as codes of 4 bits.
  case int8KeysInt4Values = "8/4"
  /// Keys and values as codes of 4 bits.
  case int4 = "4"

  /// Of each number of a key, without the scales: 16, 8 or 4.
  public var keyBits: Int {
    switch self {
    case .half: 16
    case .int8, .int8KeysInt4Values: 8
    case .int4: 4
    }
  }

  /// Of each number of a value, without the scales: 16, 8 or 4.
  public var valueBits: Int {
    switch self {
    case .half: 16
    case .int8: 8
    case .int8KeysInt4Values, .int4: 4
    }
  }

  /// Of each number, the mean of keys and values; without the scales.
  public var bits: Int { (keyBits + valueBits) / 2 }

  /// Whether scores are integer products, for which queries become codes too.
  var hasCodes: Bool { self != .half }
}
