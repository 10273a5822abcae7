extension Architecture {
  /// The part of an encoder–decoder that reads the source: layers as the decoder's, but that every
  /// token sees all others (Vaswani et al. 2017, section 3.1).
  public struct Encoder: Codable, Sendable, Equatable {
    public var layerCount: Int
    /// Inner width of its feed-forward blocks.
    public var feedForwardWidth: Int

    public init(layerCount: Int, feedForwardWidth: Int) {
      self.layerCount = layerCount
      self.feedForwardWidth = feedForwardWidth
    }
  }

  /// The encoder as a model of its own; nil where there is none.
  package var encoderArchitecture: Architecture? {
    guard let encoder else { return nil }
    var result = self
    result.encoder = nil
    result.layerCount = encoder.layerCount
    result.feedForwardWidth = encoder.feedForwardWidth
    return result
  }

  /// What cannot be true of an encoder–decoder, or nil.
  var encoderProblem: String? {
    if let token = suppressedTokens?.first(where: { !(0..<vocabularySize).contains($0) }) {
      return "suppressed_tokens names \(token), expected 0 to \(vocabularySize - 1)"
    }
    guard let encoder else { return nil }
    guard let decoderStart else { return "decoder_start is missing beside encoder" }
    if let problem = outside("decoder_start", decoderStart, 0...vocabularySize - 1)
      ?? outside("encoder layer_count", encoder.layerCount, 1...65_536)
      ?? outside("encoder feed_forward_width", encoder.feedForwardWidth, 1...(1 << 24))
    {
      return problem
    }
    if residual != .sequential { return "residual is \(residual.rawValue) beside encoder" }
    if feedForward.experts != nil { return "experts are there beside encoder" }
    if position == .learned { return "position is learned beside encoder" }
    return attention.window == nil ? nil : "window is there beside encoder"
  }
}
