/// How the next token is chosen from the logits.
///
/// ```swift
/// let options = SamplingOptions(temperature: 0.7, topK: 0, topP: 0.9, minP: 0)
/// ```
///
/// The steps, in this order:
///
/// 1. logit bias
/// 2. repetition penalty
/// 3. presence and frequency penalty
/// 4. no repeated n-grams
/// 5. temperature; 0 takes the largest logit and ends here
/// 6. top-k
/// 7. min-p
/// 8. top-p
/// 9. typical-p
/// 10. the draw
///
/// Bias and penalties before temperature before min-p, top-k and top-p is vLLM's order (top-k and
/// min-p may change places: each keeps the most probable tokens down to some place). Typical-p comes
/// last, as in transformers. Each filter looks at the probabilities of those that the ones before it
/// have left. Mirostat takes the place of steps 6 to 9, as in llama.cpp.
public struct SamplingOptions: Sendable, Equatable {
  /// Logits are divided by it. 0 is greedy: the most probable token, ties to the lowest id.
  public var temperature: Float = 0.8
  /// Keeps this many of the most probable tokens; 0 is off.
  public var topK: Int = 40
  /// Keeps the smallest set of most probable tokens that has this share of the probability
  /// (Holtzman et al. 2020, nucleus sampling); 1 is off.
  public var topP: Float = 0.95
  /// Keeps tokens at least this probable, relative to the most probable one (Nguyen et al. 2024);
  /// 0 is off.
  public var minP: Float = 0.05
  /// Keeps the smallest set of tokens with this share of the probability whose surprise, −log p, is
  /// nearest to the expected one, the entropy (Meister et al. 2023, locally typical sampling); 1 is
  /// off.
  public var typicalP: Float = 1
  /// Chooses how many tokens stay from the surprise of the text so far; nil is off.
  public var mirostat: MirostatOptions?
  /// Logits of recent tokens are divided by it where positive, multiplied where negative (Keskar et
  /// al. 2019, section 4.1); 1 is off.
  public var repetitionPenalty: Float = 1
  /// How many of the last tokens, the prompt's included, are recent.
  public var repetitionWindow: Int = 64
  /// Taken from the logits of tokens that were sampled before, the prompt's not counted (OpenAI's
  /// definition); 0 is off, negative values favour them.
  public var presencePenalty: Float = 0
  /// Taken from the logits of tokens as often as they were sampled before, the prompt's not counted
  /// (OpenAI's definition); 0 is off.
  public var frequencyPenalty: Float = 0
  /// No run of so many tokens, prompt included, comes twice (Paulus et al. 2018, with any length); 0
  /// is off.
  public var noRepeatNGram: Int = 0
  /// Added to the logits of some tokens; −infinity forbids one.
  public var logitBias: [LogitBias] = []

  /// A number that is added to the logit of a token.
  public struct LogitBias: Sendable, Equatable {
    public var id: Int32
    public var value: Float

    public init(id: Int32, value: Float) {
      self.id = id
      self.value = value
    }
  }

  public init(
    temperature: Float = 0.8, topK: Int = 40, topP: Float = 0.95, minP: Float = 0.05,
    repetitionPenalty: Float = 1, repetitionWindow: Int = 64
  ) {
    self.temperature = temperature
    self.topK = topK
    self.topP = topP
    self.minP = minP
    self.repetitionPenalty = repetitionPenalty
    self.repetitionWindow = repetitionWindow
  }

  /// The most probable token, always.
  public static let greedy = SamplingOptions(temperature: 0)

  /// The logits as the model gives them: every token with its own probability.
  public static let plain = SamplingOptions(temperature: 1, topK: 0, topP: 1, minP: 0)
}
