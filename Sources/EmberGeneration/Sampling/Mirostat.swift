/// How mirostat holds the surprise of a text at a target: version 2 (Basu et al. 2021, *Mirostat: a
/// neural text decoding algorithm that directly controls perplexity*; truncation by surprise, as
/// llama.cpp has it).
public struct MirostatOptions: Sendable, Equatable {
  /// The surprise, −log₂ p, that tokens should have on average, in bits: τ.
  public var targetSurprise: Double
  /// How much of the difference is made good with each token: η.
  public var learningRate: Double

  public init(targetSurprise: Double = 5, learningRate: Double = 0.1) {
    self.targetSurprise = targetSurprise
    self.learningRate = learningRate
  }

  func validate() throws(GenerationError) {
    if !(0.01...64).contains(targetSurprise) {
      throw .invalidOption(
        name: "mirostat", expected: "a surprise of 0.01 to 64 bits", found: "\(targetSurprise)")
    }
    if !(0.001...1).contains(learningRate) {
      throw .invalidOption(
        name: "mirostat-rate", expected: "0.001 to 1", found: "\(learningRate)")
    }
  }
}

/// The state of mirostat: the surprise above which tokens are left out now.
struct Mirostat: Sendable {
  let options: MirostatOptions
  /// In bits: μ. Twice the target at first.
  private(set) var limit: Double

  init(_ options: MirostatOptions) {
    self.options = options
    limit = 2 * options.targetSurprise
  }

  /// Learns from the token that was drawn.
  ///
  /// - Parameter surprise: in bits, among the tokens that had been left.
  mutating func record(surprise: Double) {
    limit -= options.learningRate * (surprise - options.targetSurprise)
  }
}
