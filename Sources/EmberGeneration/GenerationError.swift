/// Why no text can be generated, one case per cause.
public enum GenerationError: Error, Sendable, Equatable, CustomStringConvertible {
  /// An option with a value that makes no sense.
  case invalidOption(name: String, expected: String, found: String)
  /// The prompt alone does not fit into the context.
  case promptTooLong(tokens: Int, context: Int)
  /// The logits for this position of the text (counted from 0) hold a NaN or an infinity, or no
  /// token is possible at all.
  case notFinite(position: Int)
  /// What is forbidden (by bias, repeated n-grams or a grammar) leaves no token for this position.
  case noTokenPossible(position: Int)
  /// A grammar that cannot be read or followed; line from 1.
  case invalidGrammar(line: Int, problem: String)
  /// A JSON schema that cannot be read or followed, and where in it (a JSON pointer).
  case unsupportedSchema(path: String, problem: String)
  /// A grammar so ambiguous, or a text so deep in it, that following it takes too much memory.
  case grammarTooComplex(states: Int, stacks: Int)
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
    case .noTokenPossible(let position):
      "no token is left for position \(position): forbid fewer with --logit-bias and "
        + "--no-repeat-ngram, or choose a grammar that this model's tokens can spell"
    case .invalidGrammar(let line, let problem):
      "grammar, line \(line): \(problem)"
    case .unsupportedSchema(let path, let problem):
      "JSON schema, at \(path.isEmpty ? "its root" : path): \(problem)"
    case .grammarTooComplex(let states, let stacks):
      "the grammar is too ambiguous to follow: it would take more than \(states) states, or more "
        + "than \(stacks) ways to go on at one place; say the same with fewer alternatives"
    case .draftTokenizerDiffers(let model, let draft):
      "\(draft): the tokenizer is not that of \(model): choose a draft model with the same one"
    case .needsDecoder(let option):
      "\(option): expected a model that continues texts, found an encoder–decoder, which"
        + " answers one source: use ember run without it, or choose another model"
    case .draftVocabularyDiffers(let model, let size, let draft, let draftSize):
      "\(draft): the vocabulary has \(draftSize) tokens, that of \(model) has \(size): choose a "
        + "draft model with the same one"
    }
  }
}
