extension Architecture {
  /// How a token learns where it stands.
  public enum Position: Codable, Sendable, Equatable {
    /// Rotary embedding (Su et al. 2021) of the first `dimensions` of each head; layers with a
    /// window have `localBase`, unscaled, where there is one.
    case rotary(
      base: Float, dimensions: Int, pairing: RotaryPairing, scaling: RotaryScaling? = nil,
      localBase: Float? = nil)
    /// A learned vector per position, added to the embedding.
    case learned
    /// Scores lose a head's slope for every position of distance (ALiBi, Press et al. 2022,
    /// section 3).
    case linearBias
    /// Sines, then cosines, of the position at falling frequencies, added to the embedding (Vaswani
    /// et al. 2017, section 3.5, there interleaved).
    case sinusoidal
    /// Scores gain a learned number for the distance, which falls into one of some buckets: small
    /// distances each into its own, larger ones by their logarithm, all from `maximumDistance` on
    /// into the last (Raffel et al. 2020, section 2.1).
    case relativeBias(buckets: Int, maximumDistance: Int)
  }

  /// Whether a token is computed otherwise in a session with a longer context.
  var dependsOnContextLength: Bool {
    guard case .rotary(_, _, _, let scaling, _) = position else { return false }
    switch scaling {
    case .dynamic, .longRope: return true
    case .linear, .yarn, .llama3, nil: return false
    }
  }

  /// Which two elements of a head are rotated together.
  public enum RotaryPairing: String, Codable, Sendable {
    /// Elements 2i and 2i + 1, as in the paper and in llama2.c.
    case adjacent
    /// Elements i and i + dimensions/2, as in Hugging Face's checkpoints.
    case halves
  }

  /// How rotary embedding is stretched beyond the context that a model was first trained for.
  ///
  /// Where a method depends on the length of the text, the length is that of the session's context,
  /// so that a token is computed the same way however the text reached the session.
  public enum RotaryScaling: Codable, Sendable, Equatable {
    /// Positions divided by `factor` (Chen et al. 2023, section 3.1).
    case linear(factor: Float)
    /// A larger base, from `originalContext` on growing with the context (dynamic NTK, bloc97 and
    /// emozilla 2023).
    case dynamic(factor: Float, originalContext: Int)
    /// Slow turns are interpolated, fast ones kept (YaRN, Peng et al. 2023, section 3.4): between
    /// `betaFast` and `betaSlow` turns within the original context, a ramp, its ends at whole
    /// dimensions if `truncates`. Cosines and sines are multiplied with `attentionFactor`.
    case yarn(
      factor: Float, originalContext: Int, betaFast: Float, betaSlow: Float,
      attentionFactor: Float, truncates: Bool)
    /// As YaRN with a ramp over wavelengths (Llama 3.1, Dubey et al. 2024).
    case llama3(
      factor: Float, lowFrequencyFactor: Float, highFrequencyFactor: Float, originalContext: Int)
    /// A divisor for each frequency, others for contexts beyond the original one (LongRoPE, Ding et
    /// al. 2024). Cosines and sines are multiplied with `attentionFactor`.
    case longRope(
      shortFactors: [Float], longFactors: [Float], originalContext: Int, attentionFactor: Float)
  }
}
