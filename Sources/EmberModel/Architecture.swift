/// What a model is, as data: the forward pass interprets this description, so that a new
/// architecture is a new description and not a new class.
///
/// ```swift
/// let architecture = try Model(opening: "model.q4").architecture
/// print(architecture.layerCount, architecture.norm.kind)
/// ```
///
/// A checkpoint reader fills it in; the model file carries it as JSON. Everything that can be
/// learned from the tensors themselves (which of them have a bias, how many outliers) is not
/// repeated here.
public struct Architecture: Codable, Sendable, Equatable {
  /// The checkpoint's own name for it, such as `LlamaForCausalLM`.
  public var name: String
  /// Rows of the embedding table.
  public var vocabularySize: Int
  /// Width of the residual stream: the columns of the embedding table.
  public var width: Int
  /// Number of transformer layers.
  public var layerCount: Int
  /// Inner width of the feed-forward block.
  public var feedForwardWidth: Int
  /// The longest sequence the model was trained for, in tokens.
  public var contextLength: Int
  public var norm: Norm
  public var position: Position
  public var attention: Attention
  public var feedForward: FeedForward
  public var residual: Residual
  /// Whether the output head is the embedding table (no `head` tensor in the file).
  public var tiedHead: Bool

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

  /// How a token learns where it stands.
  public enum Position: Codable, Sendable, Equatable {
    /// Rotary embedding (Su et al. 2021) of the first `dimensions` of each head.
    case rotary(base: Float, dimensions: Int, pairing: RotaryPairing)
    /// A learned vector per position, added to the embedding.
    case learned
  }

  /// Which two elements of a head are rotated together.
  public enum RotaryPairing: String, Codable, Sendable {
    /// Elements 2i and 2i + 1, as in the paper and in llama2.c.
    case adjacent
    /// Elements i and i + dimensions/2, as in Hugging Face's checkpoints.
    case halves
  }

  /// Causal attention; query heads share key/value heads where there are fewer of those.
  public struct Attention: Codable, Sendable, Equatable {
    public var headCount: Int
    public var keyValueHeadCount: Int
    public var headDimension: Int

    public init(headCount: Int, keyValueHeadCount: Int, headDimension: Int) {
      self.headCount = headCount
      self.keyValueHeadCount = keyValueHeadCount
      self.headDimension = headDimension
    }
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
    }
    public var kind: Kind
    public var activation: Activation

    public init(kind: Kind, activation: Activation) {
      self.kind = kind
      self.activation = activation
    }
  }

  /// How a block's output joins the stream.
  public enum Residual: String, Codable, Sendable {
    /// x + attention(norm(x)), then x + feedForward(norm(x)).
    case sequential
  }

  public init(
    name: String, vocabularySize: Int, width: Int, layerCount: Int, feedForwardWidth: Int,
    contextLength: Int, norm: Norm, position: Position, attention: Attention,
    feedForward: FeedForward, residual: Residual = .sequential, tiedHead: Bool
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
    self.tiedHead = tiedHead
  }
}
