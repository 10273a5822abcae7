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
  private var candidates = Candidates()
  /// One bit per id, all clear between calls.
  private var penalized: [UInt64] = []

  /// Values that `SamplingOptions.validate` refuses give an arbitrary choice, no crash.
  public init(options: SamplingOptions, seed: UInt64, kernels: Kernels = .best) {
    self.options = options
    self.seed = seed
    self.kernels = kernels
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
    guard let maximum = Self.maximum(logits) else { throw .notFinite(position: history.count) }
    if options.temperature <= 0 {
      let id = logits.firstIndex(of: maximum) ?? 0
      return Int32(truncatingIfNeeded: id)
    }
    candidates.gather(
      logits, above: floor(maximum), limit: options.topK > 0 ? options.topK : .max)
    // Finite, so that the largest logit's exponent is 0 at the smallest temperature too.
    let scale = min(1 / options.temperature, .greatestFiniteMagnitude)
    candidates.weigh(maximum: maximum, scale: scale, kernels: kernels)
    if options.minP > 0 { candidates.keepWeights(from: options.minP) }
    if options.topP < 1 { candidates.keepHeaviest(share: options.topP) }
    guard let id = candidates.draw(generator.next()) else {
      throw .notFinite(position: history.count)
    }
    return id
  }

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
  private static func maximum(_ logits: UnsafeMutableBufferPointer<Float>) -> Float? {
    // Eight independent lanes, so that one comparison need not wait for the one before.
    var lanes = SIMD8<Float>(repeating: -.infinity)
    var isNumber = SIMDMask<SIMD8<Int32>>(repeating: true)
    let whole = logits.count / 8 * 8
    for start in stride(from: 0, to: whole, by: 8) {
      var values = SIMD8<Float>()
      for lane in 0..<8 { values[lane] = logits[start + lane] }
      isNumber .&= values .< .infinity
      lanes.replace(with: values, where: values .> lanes)
    }
    var maximum = -Float.infinity
    for lane in 0..<8 {
      if !isNumber[lane] { return nil }
      maximum = max(maximum, lanes[lane])
    }
    for logit in logits[whole...] {
      if !(logit < .infinity) { return nil }
      maximum = max(maximum, logit)
    }
    return maximum > -.infinity ? maximum : nil
  }
}
