/// How the key/value cache stores its numbers; the raw value is the bits of each.
///
/// ```swift
/// let session = try InferenceSession(model: model, cachePrecision: .int8)
/// ```
public enum CachePrecision: Int, Sendable, CaseIterable {
  /// Half precision.
  case half = 16
  /// int8 codes with a scale per position and block of 32 dimensions: 8.5 bits per number where
  /// the dimension of a head is a multiple of 32. Queries are rounded to int8 too.
  case int8 = 8
}
