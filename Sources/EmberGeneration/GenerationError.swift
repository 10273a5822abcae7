/// Why no text can be generated, one case per cause.
public enum GenerationError: Error, Sendable, Equatable, CustomStringConvertible {
  /// An option with a value that makes no sense.
  case invalidOption(name: String, expected: String, found: String)
  /// The prompt alone does not fit into the context.
  case promptTooLong(tokens: Int, context: Int)
  /// The logits for this position of the text (counted from 0) hold a NaN or an infinity, or no
  /// token is possible at all.
  case notFinite(position: Int)

  public var description: String {
    switch self {
    case .invalidOption(let name, let expected, let found):
      "\(name): expected \(expected), found \(found)"
    case .promptTooLong(let tokens, let context):
      "the prompt has \(tokens) tokens, the context holds \(context): shorten the prompt or "
        + "choose a larger --context"
    case .notFinite(let position):
      "the model produced logits that are not numbers at position \(position): the file may be "
        + "damaged, check it with `ember verify`"
    }
  }
}
