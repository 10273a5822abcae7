extension Architecture {
  /// A mixture of experts in place of one feed-forward block: a router gives each token to a few of
  /// many, and adds up what they say (Shazeer et al. 2017; Jiang et al. 2024, Mixtral).
  ///
  /// A token's experts are those of the largest softmax(router · x); their outputs are weighted with
  /// these probabilities.
  public struct Experts: Codable, Sendable, Equatable {
    /// Experts of a layer.
    public var count: Int
    /// Of them, those that a token is given to.
    public var used: Int
    /// Inner width of each.
    public var width: Int
    /// Whether the weights of a token's experts are made to add up to 1.
    public var normalizes: Bool
    /// Inner width of an expert that every token is given to, weighted with σ(shared gate · x)
    /// (Qwen2-MoE).
    public var sharedWidth: Int?

    public init(count: Int, used: Int, width: Int, normalizes: Bool, sharedWidth: Int? = nil) {
      self.count = count
      self.used = used
      self.width = width
      self.normalizes = normalizes
      self.sharedWidth = sharedWidth
    }

    /// What `Architecture.feedForwardWidth` must be.
    package var blockWidth: Int { sharedWidth ?? width }
  }

  /// Whether each layer has this matrix.
  package func has(_ matrix: TensorName.Matrix) -> Bool {
    let experts = feedForward.experts
    let hasBlock = experts == nil || experts?.sharedWidth != nil
    return switch matrix {
    case .query, .key, .value, .attentionOutput: true
    case .router: experts != nil
    case .gate: hasBlock && feedForward.kind == .gated
    case .up, .down: hasBlock
    case .sharedGate: experts?.sharedWidth != nil
    }
  }
}
