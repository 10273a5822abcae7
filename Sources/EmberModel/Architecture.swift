/// What a model is, as data: the forward pass interprets this description, so that a new
/// architecture is a new description and not a new class.
///
/// ```swift
/// let architecture = try Model(opening: "model.q4").architecture
/// print(architecture.layerCount, architecture.norm.kind)
/// ```
///
/// A checkpoint reader fills it in; the model file carries it as JSON. Everything that can be
/// learned from the tensors themselves (which of them have a bias, which norms there are and so
/// where a layer normalises, how many outliers) is not repeated here. An optional part that is nil
/// is a step that the model does not take.
public struct Architecture: Codable, Sendable, Equatable {
  /// The checkpoint's own name for it, such as `LlamaForCausalLM`.
  public var name: String
  /// Rows of the embedding table.
  public var vocabularySize: Int
  /// Width of the residual stream: the columns of the embedding table.
  public var width: Int
  /// Number of transformer layers.
  public var layerCount: Int
  /// Inner width of the feed-forward block; of a mixture, that of its shared expert, or else of each.
  public var feedForwardWidth: Int
  /// The longest sequence the model was trained for, in tokens.
  public var contextLength: Int
  public var norm: Norm
  public var position: Position
  public var attention: Attention
  public var feedForward: FeedForward
  public var residual: Residual
  /// What a token's row of the embedding is multiplied with before anything else.
  public var embeddingScale: Float?
  /// What the vectors given to the head are multiplied with.
  public var headScale: Float?
  /// logit = cap · tanh(logit / cap) (Gemma 2, Gemma Team 2024, section 2).
  public var logitSoftCap: Float?
  /// Whether the output head is the embedding table (no `head` tensor in the file).
  public var tiedHead: Bool
  /// What reads the source, of an encoder–decoder; all else here is then the decoder.
  public var encoder: Encoder?
  /// The token that an encoder–decoder's text begins with; it is no part of it.
  public var decoderStart: Int?
  /// Tokens that are never generated.
  public var suppressedTokens: [Int]?

  /// Normalisation before each block and before the head.
  public struct Norm: Codable, Sendable, Equatable {
    public enum Kind: String, Codable, Sendable {
      /// x / rms(x) · gain (Zhang and Sennrich 2019, eq. 4).
      case rootMeanSquare = "root_mean_square"
      /// (x − mean) / deviation · gain + bias (Ba et al. 2016).
      case layer
    }
    public var kind: Kind
    public var epsilon: Float

    public init(kind: Kind, epsilon: Float) {
      self.kind = kind
      self.epsilon = epsilon
    }
  }

  /// Causal attention; query heads share key/value heads where there are fewer of those.
  public struct Attention: Codable, Sendable, Equatable {
    public var headCount: Int
    public var keyValueHeadCount: Int
    public var headDimension: Int
    /// What scores are multiplied with; nil: 1 / √headDimension.
    public var scale: Float?
    /// score = cap · tanh(score / cap), after the scale (Gemma 2, Gemma Team 2024, section 2).
    public var softCap: Float?
    /// The last positions that a token sees, its own included (Beltagy et al. 2020, section 3.1).
    public var window: Int?
    /// Layers that see all positions although there is a window.
    public var globalLayers: [Int]?

    public init(
      headCount: Int, keyValueHeadCount: Int, headDimension: Int, scale: Float? = nil,
      softCap: Float? = nil, window: Int? = nil, globalLayers: [Int]? = nil
    ) {
      self.headCount = headCount
      self.keyValueHeadCount = keyValueHeadCount
      self.headDimension = headDimension
      self.scale = scale
      self.softCap = softCap
      self.window = window
      self.globalLayers = globalLayers
    }
  }

  /// Whether a layer sees only the positions of the window.
  public func isLocal(layer: Int) -> Bool {
    attention.window != nil && attention.globalLayers?.contains(layer) != true
  }

  /// The block after attention.
  public struct FeedForward: Codable, Sendable, Equatable {
    public enum Kind: String, Codable, Sendable {
      /// down(activation(gate · x) ⊙ (up · x)) (Shazeer 2020).
      case gated
      /// down(activation(up · x)).
      case plain
    }
    public enum Activation: String, Codable, Sendable {
      /// x · σ(x), also called swish.
      case silu
      /// The tanh approximation of GELU (Hendrycks and Gimpel 2016, section 2), GPT-2's `gelu_new`.
      case geluTanh = "gelu_tanh"
      /// x · Φ(x), with the error function itself.
      case gelu
      /// max(x, 0).
      case relu
    }
    public var kind: Kind
    public var activation: Activation
    /// Where the block is a mixture of experts, each of them gated.
    public var experts: Experts?

    public init(kind: Kind, activation: Activation, experts: Experts? = nil) {
      self.kind = kind
      self.activation = activation
      self.experts = experts
    }
  }

  /// How a block's output joins the stream.
  public enum Residual: String, Codable, Sendable {
    /// x + attention(norm(x)), then x + feedForward(norm(x)).
    case sequential
    /// x + attention(norm(x)) + feedForward(norm'(x)) (Wang and Komatsuzaki 2021, GPT-J).
    case parallel
  }

  public init(
    name: String, vocabularySize: Int, width: Int, layerCount: Int, feedForwardWidth: Int,
    contextLength: Int, norm: Norm, position: Position, attention: Attention,
    feedForward: FeedForward, residual: Residual = .sequential, embeddingScale: Float? = nil,
    headScale: Float? = nil, logitSoftCap: Float? = nil, tiedHead: Bool
  ) {
    self.name = name
    self.vocabularySize = vocabularySize
    self.width = width
    self.layerCount = layerCount
    self.feedForwardWidth = feedForwardWidth
    self.contextLength = contextLength
    self.norm = norm
    self.position = position
    self.attention = attention
    self.feedForward = feedForward
    self.residual = residual
    self.embeddingScale = embeddingScale
    self.headScale = headScale
    self.logitSoftCap = logitSoftCap
    self.tiedHead = tiedHead
  }
}
