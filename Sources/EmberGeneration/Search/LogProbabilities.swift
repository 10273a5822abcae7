import Foundation

/// log p of every token.
enum LogProbabilities {
  /// - Parameters:
  ///   - logits: [vocabularySize]
  ///   - position: for the error.
  /// - Throws: `GenerationError.notFinite`
  static func of(
    _ logits: UnsafeMutableBufferPointer<Float>, position: Int
  ) throws(GenerationError) -> [Float] {
    var maximum = -Float.infinity
    for logit in logits {
      if logit.isNaN || logit == .infinity { throw .notFinite(position: position) }
      maximum = max(maximum, logit)
    }
    if maximum == -.infinity { throw .notFinite(position: position) }
    var sum = 0.0
    for logit in logits { sum += exp(Double(logit - maximum)) }
    let total = Double(maximum) + log(sum)
    return logits.map { Float(Double($0) - total) }
  }
}
