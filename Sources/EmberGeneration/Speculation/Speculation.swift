/// Whether and how tokens are guessed ahead, so that one pass over the weights checks several.
///
/// ```swift
/// let generator = TextGenerator(
///   model: model, tokenizer: tokenizer, session: session, speculation: Speculation())
/// ```
///
/// The text is the one that is generated without, token for token, for greedy and for sampled text
/// alike: the model's own logits choose every token with the same random number, and a guess only
/// decides whether the logits after it are there already (`docs/speculation.md`). How much is
/// guessed depends on what came true and on what passes take, and changes the speed alone.
public struct Speculation {
  /// Guesses from what followed the same words earlier in the text.
  public var usesLookup: Bool
  /// Guesses from a small model.
  public var draftModel: DraftModel?
  /// The most tokens that are guessed at once; the session's chunk length bounds it too.
  public var maximumDraft: Int
  /// Seconds since some moment. Decides how much is guessed, so a test may bring its own.
  package var now: () -> Double

  public init(usesLookup: Bool = true, draftModel: DraftModel? = nil, maximumDraft: Int = 64) {
    self.usesLookup = usesLookup
    self.draftModel = draftModel
    self.maximumDraft = maximumDraft
    let start = ContinuousClock.now
    now = { (ContinuousClock.now - start).seconds }
  }

  /// What was guessed for one text, and what came of it.
  public struct Statistics: Sendable, Equatable {
    /// Guessed tokens that were checked.
    public var draftedTokens = 0
    /// Of them, those that the model chose.
    public var acceptedTokens = 0
    /// Passes over the weights after the prompt's.
    public var passes = 0
    /// Of them, those without a guess.
    public var plainPasses = 0

    public init() {}
  }
}
