/// How a text is cut into windows and which of its tokens are scored. Two perplexities can be
/// compared only if all of this is the same.
///
/// ```swift
/// let windows = PerplexityProtocol.papers(context: 2048)
/// let result = try evaluator.evaluate(text: text, protocol: windows)
/// ```
///
/// A window is computed from position 0, without what came before it. A token is scored at most
/// once: where windows overlap (`stride` below `context`), a window scores only what the one before
/// did not reach. A last window that is shorter than the others is left out, unless it is the only
/// one.
public struct PerplexityProtocol: Sendable, Codable, Equatable {
  public var name: String
  /// Positions of a window, the beginning-of-sequence token included.
  public var context: Int
  /// Tokens of the text from one window to the next. Never more than a window holds, so that none
  /// is skipped: with a beginning-of-sequence token, `context` counts as `context − 1`.
  public var stride: Int
  /// Tokens before this position of a window (from 0) are context only. Position 0 is never scored,
  /// as nothing predicts it.
  public var firstScored: Int
  /// Whether each window begins with the tokenizer's beginning-of-sequence token.
  public var addsBeginOfSequence: Bool
  /// Stops after so many windows; nil for the whole text.
  public var maximumWindows: Int?

  public init(
    name: String = "custom", context: Int, stride: Int, firstScored: Int = 1,
    addsBeginOfSequence: Bool = false, maximumWindows: Int? = nil
  ) {
    self.name = name
    self.context = context
    self.stride = stride
    self.firstScored = firstScored
    self.addsBeginOfSequence = addsBeginOfSequence
    self.maximumWindows = maximumWindows
  }

  /// What papers report: windows of the whole context side by side, every token scored but the
  /// first of each.
  public static func papers(context: Int) -> Self {
    Self(name: "papers", context: context, stride: context)
  }

  /// What llama.cpp's perplexity tool reports: windows of 512 tokens side by side, the second half
  /// of each scored (tokens 257 to 512, counted from 1).
  ///
  /// It differs where a tokenizer adds a beginning-of-sequence token: llama.cpp then puts it in the
  /// place of each window's first token, and Ember, if told to add it, before that token.
  public static func llamaCpp() -> Self {
    Self(name: "llama.cpp", context: 512, stride: 512, firstScored: 256)
  }

  /// The same, named `custom` where a parameter is not that of the preset it is named after. How
  /// many windows are scored does not count: results report it beside the name.
  public var namedByParameters: Self {
    var preset = name == "llama.cpp" ? Self.llamaCpp() : .papers(context: context)
    preset.maximumWindows = maximumWindows
    var result = self
    if self != preset { result.name = "custom" }
    return result
  }

  private enum CodingKeys: String, CodingKey {
    case name = "protocol"
    case context, stride
    case firstScored = "first_scored"
    case addsBeginOfSequence = "begin_of_sequence"
    case maximumWindows = "maximum_windows"
  }

  /// A window limit that is not set is null.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(name, forKey: .name)
    try container.encode(context, forKey: .context)
    try container.encode(stride, forKey: .stride)
    try container.encode(firstScored, forKey: .firstScored)
    try container.encode(addsBeginOfSequence, forKey: .addsBeginOfSequence)
    try container.encode(maximumWindows, forKey: .maximumWindows)
  }
}

extension PerplexityProtocol {
  /// Everything that decides whether two figures can be compared.
  package var words: String {
    "\(name): context \(context), stride \(stride), scored from position \(max(1, firstScored)) on,"
      + " \(addsBeginOfSequence ? "with" : "without") beginning-of-sequence token"
  }
}
