/// Why no text can be generated, one case per cause.
public enum GenerationError: Error, Sendable, Equatable, CustomStringConvertible {
  /// An option with a value that makes no sense.
  case invalidOption(name: String, expected: String, found: String)
  /// The prompt alone does not fit into the context.
  case promptTooLong(tokens: Int, context: Int)
  /// The logits for this position of the text (counted from 0) hold a NaN or an infinity, or no
  /// token is possible at all.
  case notFinite(position: Int)
  /// A draft model that cuts texts into other tokens; paths of the files.
  case draftTokenizerDiffers(model: String, draft: String)
  /// A draft model with a table of another size.
  case draftVocabularyDiffers(model: String, size: Int, draft: String, draftSize: Int)
  /// Something that there is for models that continue texts, asked of an encoder–decoder.
  case needsDecoder(option: String)

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
    case .draftTokenizerDiffers(let model, let draft):
      "\(draft): the tokenizer is not that of \(model): choose a draft model with the same one"
    case .needsDecoder(let option):
      "\(option): expected a model that continues texts, found an encoder–decoder: leave the option"
        + " out, or choose another model"
    case .draftVocabularyDiffers(let model, let size, let draft, let draftSize):
      "\(draft): the vocabulary has \(draftSize) tokens, that of \(model) has \(size): choose a "
        + "draft model with the same one"
    }
  }
}
