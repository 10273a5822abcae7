/// Why a model cannot be scored or compared, one case per cause.
public enum EvaluationError: Error, Sendable, Equatable, CustomStringConvertible {
  /// Too few tokens for the protocol: at least two must be scored.
  case textTooShort(tokens: Int, minimum: Int)
  /// Nothing to score: no pair of a source and a target.
  case noPairs
  /// A protocol that scores nothing, or not what it says.
  case invalidProtocol(field: String, expected: String, found: String)
  /// The protocol begins windows with a token that the tokenizer does not have.
  case noBeginOfSequence
  /// A logit that is NaN or infinite, at this position of this window (both counted from 0).
  case notFinite(path: String, window: Int, position: Int)
  /// The mean negative log-likelihood is so large that e to its power is no number.
  case perplexityOverflow(path: String, meanNegativeLogLikelihood: Double)
  /// Only models of one vocabulary can be compared.
  case vocabulariesDiffer(baseline: String, baselineSize: Int, path: String, size: Int)
  /// The same number of tokens, but other tokens.
  case tokenizersDiffer(baseline: String, path: String)
  /// A multiple-choice question that is none.
  case invalidQuestion(String)
  /// There are no questions to score.
  case noQuestions
  /// There is nothing to compare.
  case noModels
  /// A benchmark that measures nothing, does not fit the model, or has a shape that no model has.
  case invalidBenchmark(field: String, expected: String, found: String)
  /// Not enough memory for the buffers of a benchmark.
  case outOfMemory(bytes: Int, purpose: String)
  /// Not enough room on the disk for a model of random weights.
  case outOfDisk(folder: String, bytes: Int, free: Int)

  public var description: String {
    switch self {
    case .textTooShort(let tokens, let minimum):
      "the text has \(tokens) tokens, this protocol needs at least \(minimum): choose a longer text"
    case .noPairs:
      "there are no pairs of a source and a target: expected one at least"
    case .invalidProtocol(let field, let expected, let found):
      "\(field): expected \(expected), found \(found)"
    case .noBeginOfSequence:
      "the protocol begins each window with a beginning-of-sequence token, and this tokenizer has "
        + "none: score without it"
    case .notFinite(let path, let window, let position):
      "\(path): the model produced logits that are not numbers in window \(window) at position "
        + "\(position): the file may be damaged, check it with `ember verify`"
    case .perplexityOverflow(let path, let mean):
      "\(path): the mean negative log-likelihood is \(mean), too large for a perplexity: the file "
        + "may be damaged, check it with `ember verify`"
    case .vocabulariesDiffer(let baseline, let baselineSize, let path, let size):
      "\(path): the vocabulary has \(size) tokens, that of \(baseline) has \(baselineSize): "
        + "compare files made from the same checkpoint"
    case .tokenizersDiffer(let baseline, let path):
      "\(path): the tokenizer is not that of \(baseline): compare files made from the same "
        + "checkpoint"
    case .invalidQuestion(let problem):
      "a question: \(problem)"
    case .noQuestions:
      "there are no questions: expected at least one"
    case .noModels:
      "there is no model to compare"
    case .invalidBenchmark(let field, let expected, let found):
      "\(field): expected \(expected), found \(found)"
    case .outOfMemory(let bytes, let purpose):
      "\(bytes) bytes for the \(purpose) cannot be had: end other programs, or choose a smaller one"
    case .outOfDisk(let folder, let bytes, let free):
      "\(folder): expected room for a model of \(bytes) bytes, found \(free) free: free some space,"
        + " or write elsewhere with --keep"
    }
  }
}
