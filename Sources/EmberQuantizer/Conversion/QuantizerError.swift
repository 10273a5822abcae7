public import EmberModel
import SystemPackage

/// Why a checkpoint cannot be converted, beyond what is wrong with the checkpoint or the file.
public enum QuantizerError: Error, Sendable, Equatable, CustomStringConvertible {
  /// An option outside its range.
  case invalidOption(name: String, expected: String, found: String)
  /// No tokenizer was named or found.
  case tokenizerMissing(checkpoint: String)
  /// The tokenizer has ids that the embedding table has no rows for.
  case vocabularyMismatch(tokenizer: String, tokens: Int, embeddingRows: Int)
  /// A weight that the precision cannot hold: halves end at `limit`, and so does the scale of a block.
  case weightTooLarge(tensor: String, row: Int, column: Int, value: Float, limit: Float)
  /// The caller asked to stop; nothing is written.
  case cancelled
  /// The output, or the statistics, would replace a file of the checkpoint.
  case outputIsInput(path: String, option: String = "-o")

  /// The conversion takes more than it may.
  case budgetTooSmall(checkpoint: String, needed: Int, budget: Int, advice: [MemoryAdvice])
  /// The weights do not fit into memory in half precision, as `--target-bits` needs them.
  case modelTooLarge(bytes: Int, available: Int)

  public var description: String {
    switch self {
    case .invalidOption(let name, let expected, let found):
      "\(name): expected \(expected), found \(found)"
    case .tokenizerMissing(let checkpoint):
      "\(checkpoint): no tokenizer.bin or tokenizer.json beside it: name it with --tokenizer"
    case .vocabularyMismatch(let tokenizer, let tokens, let rows):
      "\(tokenizer): has \(tokens) tokens, but the embedding table has \(rows) rows: "
        + "this tokenizer belongs to another model"
    case .weightTooLarge(let tensor, let row, let column, let value, let limit):
      "\(tensor): weight \(value) in row \(row), column \(column): expected at most \(limit) in size "
        + "at this precision; is the checkpoint whole?"
    case .budgetTooSmall(let checkpoint, let needed, let budget, let advice):
      "\(checkpoint): converting it needs \(megabytes(needed)) of memory, found a budget of"
        + " \(megabytes(budget)); choose "
        + (advice.map { "\($0.option) (needs \(megabytes($0.neededBytes)))" }
        + ["--memory \((needed + 999_999) / 1_000_000)M", "--force to try all the same"])
        .joined(separator: ", or ")
    case .cancelled:
      "stopped; nothing was written"
    case .outputIsInput(let path, let option):
      "\(path): is part of the checkpoint itself: choose another output with \(option)"
    case .modelTooLarge(let bytes, let available):
      "--target-bits: measuring sensitivity takes \(bytes) bytes of memory, expected at most the "
        + "\(available) available: choose types with --bits and --tensor-type"
    }
  }
}

/// Rounded up, so that what is said is enough.
private func megabytes(_ bytes: Int) -> String { "\((bytes + 999_999) / 1_000_000) MB" }
