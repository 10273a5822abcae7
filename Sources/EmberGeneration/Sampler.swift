public import EmberKernels
import Foundation

/// Chooses the next token of a text from the logits, by the steps of `SamplingOptions`.
///
/// ```swift
/// var sampler = Sampler(options: SamplingOptions(temperature: 0.7), seed: 42)
/// let id = try sampler.next(logits, history: ids)
/// ```
///
/// The same seed, options and logits give the same tokens on every platform and in every later
/// version: the random numbers are SplitMix64's, e^x is the kernels', whose tables all give the same
/// bits, and weights are added up as integers. A token's weight is right to 2·10⁻⁷, relative, and a
/// further 2·10⁻⁷ per unit of its exponent; the least probable, 7·10⁻¹² times as likely as the most
/// probable or less, are never drawn. One call is O(vocabulary) and allocates nothing after the
/// first.
public struct Sampler: Sendable {
  public let options: SamplingOptions
  public let seed: UInt64
  private let kernels: Kernels
  private var generator: SplitMix64
  private var candidates: Candidates
  /// One bit per id, all clear between calls.
  private var penalized: [UInt64] = []

  /// Values that `SamplingOptions.validate` refuses give an arbitrary choice, no crash.
  public init(options: SamplingOptions, seed: UInt64, kernels: Kernels = .best) {
    self.options = options
    self.seed = seed
    self.kernels = kernels
    candidates = Candidates(kernels: kernels)
    generator = SplitMix64(seed: seed)
  }

  /// The next token.
  ///
  /// - Parameters:
  ///   - logits: [vocabularySize], natural-log units; −infinity forbids a token. The repetition
  ///     penalty is applied to them in place.
  ///   - history: the text so far, prompt included; for the penalty and for messages.
  /// - Throws: `GenerationError.notFinite` if a logit is NaN or +infinity, or all are −infinity.
  public mutating func next(
    _ logits: UnsafeMutableBufferPointer<Float>, history: [Int32]
  ) throws(GenerationError) -> Int32 {
    penalize(logits, history)
    guard let maximum = maximum(logits) else { throw .notFinite(position: history.count) }
    if options.temperature <= 0 {
      let id = logits.firstIndex(of: maximum) ?? 0
      return Int32(truncatingIfNeeded: id)
    }
    candidates.gather(
      logits, above: floor(maximum), limit: options.topK > 0 ? options.topK : .max)
    // Finite, so that the largest logit's exponent is 0 at the smallest temperature too.
    let scale = min(1 / options.temperature, .greatestFiniteMagnitude)
    candidates.weigh(maximum: maximum, scale: scale, minimum: options.minP)
    if options.topP < 1 { candidates.keepHeaviest(share: options.topP) }
    guard let id = candidates.draw(generator.next()) else {
      throw .notFinite(position: history.count)
    }
    return id
  }

  /// Draws from now on what `other` will draw.
  package mutating func adoptDraws(of other: Sampler) { generator = other.generator }

  /// A logit below all that can be drawn and all that min-p keeps. All filters keep the tokens above
  /// some place of one order, so this may come before top-k; it spares the work on most of a large
  /// vocabulary. The exact conditions follow; this one is loose by far more than any rounding.
  private func floor(_ maximum: Float) -> Float {
    let minimum = options.minP > 0 ? log(Double(options.minP)) - 1e-3 : -.infinity
    let exponent = max(minimum, -UnsafeSelection.negligibleExponent)
    let exact = Double(maximum) + Double(options.temperature) * exponent
    return Float(exact - 1e-5 * abs(exact)).nextDown
  }

  private mutating func penalize(
    _ logits: UnsafeMutableBufferPointer<Float>, _ history: [Int32]
  ) {
    let penalty = options.repetitionPenalty
    if penalty == 1 || options.repetitionWindow <= 0 { return }
    if penalized.count * 64 < logits.count {
      penalized = [UInt64](repeating: 0, count: (logits.count + 63) / 64)
    }
    let recent = history.suffix(options.repetitionWindow)
    for id in recent where logits.indices.contains(Int(id)) {
      let (word, bit) = (Int(id) / 64, UInt64(1) << UInt64(id % 64))
      if penalized[word] & bit != 0 { continue }
      penalized[word] |= bit
      let logit = logits[Int(id)]
      logits[Int(id)] = logit > 0 ? logit / penalty : logit * penalty
    }
    for id in recent where logits.indices.contains(Int(id)) { penalized[Int(id) / 64] = 0 }
  }

  /// The largest logit, or nil if one is NaN or +infinity or all are −infinity.
  private func maximum(_ logits: UnsafeMutableBufferPointer<Float>) -> Float? {
    guard let start = logits.baseAddress else { return nil }
    var (lowest, highest): (Float, Float) = (0, 0)
    let areNumbers = kernels.table.extremes(start, logits.count, &lowest, &highest) != 0
    return areNumbers && highest > -.infinity ? highest : nil
  }
}
