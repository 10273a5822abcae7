extension Architecture {
  /// What cannot be true of a model, or nil. Sizes are bounded here; products of several of them
  /// are checked where they are made.
  package var inconsistency: String? {
    sizesProblem ?? attentionProblem ?? expertsProblem ?? positionProblem ?? factorsProblem
      ?? encoderProblem
  }

  private var sizesProblem: String? {
    let large = 1 << 24
    return outside("vocabulary_size", vocabularySize, 1...large)
      ?? outside("width", width, 1...large)
      ?? outside("layer_count", layerCount, 1...65_536)
      ?? outside("feed_forward_width", feedForwardWidth, 1...large)
      ?? outside("context_length", contextLength, 1...(1 << 30))
  }

  private var attentionProblem: String? {
    let a = attention
    if let problem = outside("head_count", a.headCount, 1...65_536)
      ?? outside("key_value_head_count", a.keyValueHeadCount, 1...a.headCount)
      ?? outside("head_dimension", a.headDimension, 1...1024)
      ?? a.window.flatMap({ outside("window", $0, 1...(1 << 30)) })
    {
      return problem
    }
    if a.headCount % a.keyValueHeadCount != 0 {
      return "head_count \(a.headCount) is no multiple of key_value_head_count "
        + "\(a.keyValueHeadCount)"
    }
    if let layer = a.globalLayers?.first(where: { !(0..<layerCount).contains($0) }) {
      return "global_layers names layer \(layer), expected 0 to \(layerCount - 1)"
    }
    return nil
  }

  private var expertsProblem: String? {
    guard let e = feedForward.experts else { return nil }
    if let problem = outside("experts count", e.count, 1...4096)
      ?? outside("experts used", e.used, 1...e.count)
      ?? outside("experts width", e.width, 1...(1 << 24))
    {
      return problem
    }
    if feedForward.kind != .gated { return "experts are not gated" }
    if feedForwardWidth != e.blockWidth {
      return "feed_forward_width is \(feedForwardWidth), expected that of the "
        + "\(e.sharedWidth == nil ? "experts" : "shared expert"), \(e.blockWidth)"
    }
    return nil
  }

  private var positionProblem: String? {
    if case .relativeBias(let buckets, let maximum) = position {
      // An encoder halves the buckets, and half of what it has is for single distances.
      return outside("relative bias buckets", buckets, 4...65_536)
        ?? outside("relative bias maximum_distance", maximum, buckets / 2 + 1...1 << 30)
    }
    guard case .rotary(let base, let dimensions, _, let scaling, let localBase) = position else {
      return nil
    }
    if let problem = notPositive("rotary base", base)
      ?? localBase.flatMap({ notPositive("rotary local base", $0) })
    {
      return problem
    }
    if dimensions < 2 || dimensions % 2 != 0 || dimensions > attention.headDimension {
      return "rotary dimensions are \(dimensions), expected an even number up to "
        + "\(attention.headDimension)"
    }
    return scaling.flatMap { problem(of: $0, pairs: dimensions / 2) }
  }

  private func problem(of scaling: RotaryScaling, pairs: Int) -> String? {
    func context(_ value: Int) -> String? { outside("original_context", value, 1...(1 << 30)) }
    func positive(_ values: Float...) -> String? {
      values.lazy.compactMap { self.notPositive("a factor of the rotary scaling", $0) }.first
    }
    switch scaling {
    case .linear(let factor): return positive(factor)
    case .dynamic(let factor, let original): return positive(factor) ?? context(original)
    case .yarn(let factor, let original, let fast, let slow, let attention, _):
      return positive(factor, fast, slow, attention) ?? context(original)
    case .llama3(let factor, let low, let high, let original):
      return positive(factor, low, high) ?? context(original)
    case .longRope(let short, let long, let original, let attention):
      if short.count != pairs || long.count != pairs {
        return "rotary scaling has \(short.count) and \(long.count) factors, expected \(pairs)"
      }
      return (short + long).lazy.compactMap { positive($0) }.first
        ?? positive(attention) ?? context(original)
    }
  }

  private var factorsProblem: String? {
    if !(norm.epsilon >= 0 && norm.epsilon < 1) { return "norm epsilon is \(norm.epsilon)" }
    let factors = [
      ("attention scale", attention.scale), ("attention soft cap", attention.softCap),
      ("embedding scale", embeddingScale), ("head scale", headScale),
      ("logit soft cap", logitSoftCap),
    ]
    return factors.lazy.compactMap { name, value in
      value.flatMap { self.notPositive(name, $0) }
    }.first
  }

  func outside(_ name: String, _ value: Int, _ range: ClosedRange<Int>) -> String? {
    range.contains(value)
      ? nil : "\(name) is \(value), expected \(range.lowerBound) to \(range.upperBound)"
  }

  private func notPositive(_ name: String, _ value: Float) -> String? {
    value > 0 && value.isFinite ? nil : "\(name) is \(value), expected a number above 0"
  }
}
