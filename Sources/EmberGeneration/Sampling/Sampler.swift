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
/// probable or less, are never drawn. One call is O(vocabulary + history) and allocates nothing after
/// the first.
public struct Sampler: Sendable {
  public let options: SamplingOptions
  public let seed: UInt64
  private let kernels: Kernels
  private var processor: LogitProcessor
  private var mirostat: Mirostat?
  private var generator: SplitMix64
  private var candidates: Candidates

  /// Values that `SamplingOptions.validate` refuses give an arbitrary choice, no crash.
  ///
  /// - Parameter promptLength: tokens at the beginning of the histories that were not sampled, which
  ///   presence and frequency penalty do not count.
  public init(
    options: SamplingOptions, seed: UInt64, promptLength: Int = 0, kernels: Kernels = .best
  ) {
    self.options = options
    self.seed = seed
    self.kernels = kernels
    processor = LogitProcessor(options, promptLength: promptLength)
    mirostat = options.mirostat.map(Mirostat.init)
    candidates = Candidates(kernels: kernels)
    generator = SplitMix64(seed: seed)
  }

  /// The next token.
  ///
  /// - Parameters:
  ///   - logits: [vocabularySize], natural-log units; −infinity forbids a token. Bias and penalties
  ///     are applied to them in place.
  ///   - history: the text so far, prompt included; for the penalties and for messages.
  /// - Throws: `GenerationError.notFinite` if a logit is NaN or +infinity, or all are −infinity;
  ///   `.noTokenPossible` where the options have forbidden all.
  public mutating func next(
    _ logits: UnsafeMutableBufferPointer<Float>, history: [Int32]
  ) throws(GenerationError) -> Int32 {
    processor.apply(logits, history)
    let maximum = try maximum(logits, history)
    if options.temperature <= 0 {
      let id = logits.firstIndex(of: maximum) ?? 0
      return Int32(truncatingIfNeeded: id)
    }
    filter(logits, maximum: maximum)
    guard let place = candidates.draw(generator.next()) else {
      throw .notFinite(position: history.count)
    }
    mirostat?.record(surprise: candidates.surprise(at: place))
    return candidates.id(at: place)
  }

  /// What could be drawn next, in the order of the ids, and how probably; nothing is drawn.
  ///
  /// - Throws: as `next`
  package mutating func distribution(
    _ logits: UnsafeMutableBufferPointer<Float>, history: [Int32]
  ) throws(GenerationError) -> [(id: Int32, probability: Double)] {
    processor.apply(logits, history)
    let maximum = try maximum(logits, history)
    if options.temperature <= 0 {
      return [(Int32(truncatingIfNeeded: logits.firstIndex(of: maximum) ?? 0), 1)]
    }
    filter(logits, maximum: maximum)
    return candidates.probabilities
  }

  /// Bias and penalties alone, in place.
  package mutating func process(
    _ logits: UnsafeMutableBufferPointer<Float>, history: [Int32]
  ) {
    processor.apply(logits, history)
  }

  /// Draws from now on what `other` will draw.
  package mutating func adoptDraws(of other: Sampler) {
    generator = other.generator
    mirostat = other.mirostat
  }

  /// Temperature and all that leaves tokens out.
  private mutating func filter(_ logits: UnsafeMutableBufferPointer<Float>, maximum: Float) {
    // Finite, so that the largest logit's exponent is 0 at the smallest temperature too.
    let scale = min(1 / options.temperature, .greatestFiniteMagnitude)
    if let mirostat {
      candidates.gather(logits, above: floor(maximum, minimum: 0), limit: .max)
      candidates.weigh(maximum: maximum, scale: scale, minimum: 0)
      candidates.dropSurprising(above: mirostat.limit)
      return
    }
    candidates.gather(
      logits, above: floor(maximum, minimum: options.minP),
      limit: options.topK > 0 ? options.topK : .max)
    candidates.weigh(maximum: maximum, scale: scale, minimum: options.minP)
    if options.topP < 1 { candidates.keepHeaviest(share: options.topP) }
    if options.typicalP < 1 { candidates.keepTypical(share: options.typicalP) }
  }

  /// A logit below all that can be drawn and all that min-p keeps. All filters before typical-p keep
  /// the tokens above some place of one order, so this may come before top-k; it spares the work on
  /// most of a large vocabulary. The exact conditions follow; this one is loose by far more than any
  /// rounding.
  private func floor(_ maximum: Float, minimum: Float) -> Float {
    let minimum = minimum > 0 ? log(Double(minimum)) - 1e-3 : -.infinity
    let exponent = max(minimum, -UnsafeSelection.negligibleExponent)
    let exact = Double(maximum) + Double(options.temperature) * exponent
    return Float(exact - 1e-5 * abs(exact)).nextDown
  }

  /// The largest logit.
  private func maximum(
    _ logits: UnsafeMutableBufferPointer<Float>, _ history: [Int32]
  ) throws(GenerationError) -> Float {
    guard let start = logits.baseAddress else { throw .notFinite(position: history.count) }
    var (lowest, highest): (Float, Float) = (0, 0)
    let areNumbers = kernels.table.extremes(start, logits.count, &lowest, &highest) != 0
    if areNumbers && highest > -.infinity { return highest }
    if areNumbers && processor.forbids { throw .noTokenPossible(position: history.count) }
    throw .notFinite(position: history.count)
  }
}
