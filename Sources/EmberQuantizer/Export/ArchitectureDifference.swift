import EmberModel

extension Architecture {
  /// What a format's description of a model says otherwise than the model's own, or nil: then the
  /// format has no words for it.
  ///
  /// - Returns: both values of the first part that differs.
  func difference(to written: Architecture) -> (found: String, expected: String)? {
    let one = normalized
    let other = written.normalized
    let parts: [(String, String, String)] = [
      ("vocabulary_size", "\(one.vocabularySize)", "\(other.vocabularySize)"),
      ("width", "\(one.width)", "\(other.width)"),
      ("layer_count", "\(one.layerCount)", "\(other.layerCount)"),
      ("feed_forward_width", "\(one.feedForwardWidth)", "\(other.feedForwardWidth)"),
      ("context_length", "\(one.contextLength)", "\(other.contextLength)"),
      ("norm", "\(one.norm.kind) \(one.norm.epsilon)", "\(other.norm.kind) \(other.norm.epsilon)"),
      ("position", one.position.shown, other.position.shown),
      ("head_count", "\(one.attention.headCount)", "\(other.attention.headCount)"),
      (
        "key_value_head_count", "\(one.attention.keyValueHeadCount)",
        "\(other.attention.keyValueHeadCount)"
      ),
      ("head_dimension", "\(one.attention.headDimension)", "\(other.attention.headDimension)"),
      ("attention scale", Self.shown(one.attention.scale), Self.shown(other.attention.scale)),
      (
        "attention soft cap", Self.shown(one.attention.softCap),
        Self.shown(other.attention.softCap)
      ),
      ("window", Self.shown(one.attention.window), Self.shown(other.attention.window)),
      (
        "layers without a window", Self.shown(one.attention.globalLayers),
        Self.shown(other.attention.globalLayers)
      ),
      (
        "feed-forward block", "\(one.feedForward.kind) \(one.feedForward.activation)",
        "\(other.feedForward.kind) \(other.feedForward.activation)"
      ),
      ("experts", Self.shown(one.feedForward.experts), Self.shown(other.feedForward.experts)),
      ("residual", "\(one.residual)", "\(other.residual)"),
      ("embedding scale", Self.shown(one.embeddingScale), Self.shown(other.embeddingScale)),
      ("head scale", Self.shown(one.headScale), Self.shown(other.headScale)),
      ("logit soft cap", Self.shown(one.logitSoftCap), Self.shown(other.logitSoftCap)),
      (
        "encoder layers", Self.shown(one.encoder?.layerCount), Self.shown(other.encoder?.layerCount)
      ),
      ("tied head", "\(one.tiedHead)", "\(other.tiedHead)"),
    ]
    return parts.first { $0.1 != $0.2 }.map { ("\($0.0) \($0.1)", "\($0.0) \($0.2)") }
  }

  /// One spelling of what can be said in two ways.
  private var normalized: Architecture {
    var copy = self
    if attention.scale == 1 / Float(attention.headDimension).squareRoot() {
      copy.attention.scale = nil
    }
    if attention.globalLayers?.isEmpty == true { copy.attention.globalLayers = nil }
    if let window = attention.window, window >= contextLength {
      copy.attention.window = nil
      copy.attention.globalLayers = nil
    }
    return copy
  }

  private static func shown<Value>(_ value: Value?) -> String {
    value.map { "\($0)" } ?? "none"
  }
}

extension Architecture.Position {
  /// For error messages.
  fileprivate var shown: String {
    switch self {
    case .learned: "learned"
    case .linearBias: "linear bias"
    case .sinusoidal: "sinusoidal"
    case .relativeBias: "relative bias"
    case .rotary(let base, let dimensions, _, let scaling, let localBase):
      "rotary base \(base)" + (localBase.map { " and \($0) where there is a window" } ?? "")
        + " of \(dimensions) dimensions, \(scaling?.shown ?? "not scaled")"
    }
  }
}

extension Architecture.RotaryScaling {
  fileprivate var shown: String {
    switch self {
    case .linear(let factor): "scaled linearly by \(factor)"
    case .dynamic(let factor, _): "scaled dynamically by \(factor)"
    case .yarn(let factor, let original, let fast, let slow, let attention, let truncates):
      "scaled by YaRN \(factor) from \(original), \(fast) to \(slow) turns, attention \(attention)"
        + (truncates ? "" : ", not truncated")
    case .llama3(let factor, let low, let high, let original):
      "scaled as Llama 3 by \(factor) from \(original), \(low) to \(high)"
    case .longRope(let short, _, let original, let attention):
      "scaled by LongRoPE's \(short.count) factors from \(original), attention \(attention)"
    }
  }
}
