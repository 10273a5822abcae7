public import EmberFormat

/// Why a model cannot be loaded or run, one case per cause.
public enum ModelError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The metadata is no JSON of the known form, or describes a model that cannot be.
  case invalidMetadata(path: String, String)
  /// The architecture needs a tensor that the file does not have.
  case missingTensor(path: String, name: String)
  /// A tensor has another shape or type than the architecture says.
  case wrongTensor(path: String, name: String, expected: String, found: String)
  /// More positions were asked for than the model can have.
  case contextTooLong(requested: Int, maximum: Int)
  /// The tokens do not fit behind those that are in the cache.
  case contextFull(capacity: Int, used: Int, added: Int)
  /// Nothing to compute.
  case noTokens
  /// A token id outside the vocabulary.
  case unknownToken(id: Int32, vocabularySize: Int)
  /// A model cannot run in the memory that it may have.
  case budgetTooSmall(path: String, needed: Int, budget: Int, advice: [MemoryAdvice])
  /// The weights cannot be read any more.
  case reading(FormatError)
  /// One step was to compute more tokens than there is room for.
  case stepTooLong(tokens: Int, capacity: Int)
  /// A step was to compute a sequence that the session does not have, or one of them twice.
  case invalidSequence(index: Int, count: Int)
  /// An encoder–decoder was to compute tokens before it has a source.
  case noSource
  /// A source for a model that has no encoder.
  case noEncoder
  /// A source of more tokens than there is room for.
  case sourceTooLong(tokens: Int, capacity: Int)
  /// Not enough memory for the key/value cache or the scratch buffers.
  case outOfMemory(bytes: Int, purpose: String)

  public var description: String {
    switch self {
    case .invalidMetadata(let path, let problem):
      "\(path): metadata: \(problem); convert the checkpoint again with this version of ember"
    case .missingTensor(let path, let name):
      "\(path): tensor \(name) is missing; the file is incomplete, convert the checkpoint again"
    case .wrongTensor(let path, let name, let expected, let found):
      "\(path): tensor \(name): expected \(expected), found \(found); convert the checkpoint again"
    case .contextTooLong(let requested, let maximum):
      "a context of \(requested) positions was asked for, this model has \(maximum): "
        + "choose --context \(maximum) or less"
    case .contextFull(let capacity, let used, let added):
      "\(used) + \(added) tokens do not fit in a context of \(capacity) positions: "
        + "shorten the text or choose a larger --context"
    case .noTokens:
      "there are no tokens to compute: the text is empty and the model adds none of its own"
    case .unknownToken(let id, let vocabularySize):
      "token id \(id) is not in the vocabulary: expected 0 to \(vocabularySize - 1)"
    case .budgetTooSmall(let path, let needed, let budget, let advice):
      "\(path): needs \(megabytes(needed)) of memory at least, found a budget of"
        + " \(megabytes(budget)); choose "
        + (advice.map { "\($0.option) (needs \(megabytes($0.neededBytes)))" }
        + ["--memory \(millions(needed))M", "--force to try all the same"])
        .joined(separator: ", or ")
    case .reading(let error):
      "\(error) (the file changed or its disk failed while it was in use)"
    case .stepTooLong(let tokens, let capacity):
      "a step of \(tokens) tokens was asked for, there is room for \(capacity): append fewer at a"
        + " time"
    case .invalidSequence(let index, let count):
      "sequence \(index) cannot be part of this step: expected each of 0 to \(count - 1) at most"
        + " once"
    case .noSource:
      "the model is an encoder–decoder, which answers a source text, and here is none: use ember run,"
        + " which takes the prompt for it, or ember perplexity --pairs"
    case .noEncoder:
      "the model has no encoder: expected an encoder–decoder such as T5 or Marian, found a model"
        + " that continues texts"
    case .sourceTooLong(let tokens, let capacity):
      "the source has \(tokens) tokens, there is room for \(capacity): shorten it or choose a larger"
        + " --context"
    case .outOfMemory(let bytes, let purpose):
      "\(bytes) bytes for the \(purpose) cannot be had: choose a smaller --context"
    }
  }
}

private func megabytes(_ bytes: Int) -> String { "\(millions(bytes)) MB" }

/// Rounded up, so that what is said is enough; of the largest integer, too.
private func millions(_ bytes: Int) -> Int {
  bytes / 1_000_000 + (bytes % 1_000_000 == 0 ? 0 : 1)
}
