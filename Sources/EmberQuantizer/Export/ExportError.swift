/// Why a model file cannot be written in another program's format, beyond what is wrong with the
/// file itself.
public enum ExportError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The format has no word for the architecture, or Ember does not know it.
  case unknownArchitecture(model: String, found: String, format: String, known: [String])
  /// The architecture can be written, but not this part of it.
  case unsupportedFeature(
    model: String, architecture: String, format: String, found: String, expected: String)
  /// The model has a tensor that the format's architecture has no place for.
  case noPlace(model: String, tensor: String, architecture: String, format: String)
  /// The format does not hold weights of this type.
  case unsupportedType(format: String, found: String, expected: String)
  /// A weight that halves cannot hold.
  case weightTooLarge(tensor: String, row: Int, column: Int, value: Float)
  /// The output would replace the model that it is made from.
  case outputIsInput(path: String)
  /// A folder that has files in it already.
  case folderNotEmpty(path: String)
  /// The export takes more memory than it may.
  case budgetTooSmall(model: String, needed: Int, budget: Int)
  /// The caller asked to stop; nothing is written.
  case cancelled

  public var description: String {
    switch self {
    case .unknownArchitecture(let model, let found, let format, let known):
      "\(model): the architecture \(found) cannot be written as \(format), which Ember writes for"
        + " \(known.joined(separator: ", "))"
    case .unsupportedFeature(let model, let architecture, let format, let found, let expected):
      "\(model): \(architecture) with \(found) cannot be written as \(format): expected \(expected)"
    case .noPlace(let model, let tensor, let architecture, let format):
      "\(model): the tensor '\(tensor)' has no place in \(format) of the architecture"
        + " \(architecture)"
    case .unsupportedType(let format, let found, let expected):
      "--type \(found): expected \(expected) for --format \(format)"
    case .weightTooLarge(let tensor, let row, let column, let value):
      "\(tensor): weight \(value) in row \(row), column \(column): expected at most 65504 in size,"
        + " as fp16 holds it"
    case .outputIsInput(let path):
      "\(path): is the model itself: choose another output with -o"
    case .folderNotEmpty(let path):
      "\(path): is a folder with files in it: choose another output with -o, or --force to replace"
        + " the model in it"
    case .budgetTooSmall(let model, let needed, let budget):
      "\(model): exporting it needs \(megabytes(needed)) of memory, found a budget of"
        + " \(megabytes(budget)); choose --memory \((needed + 999_999) / 1_000_000)M, or --force to"
        + " try all the same"
    case .cancelled:
      "stopped; nothing was written"
    }
  }
}

/// Rounded up, so that what is said is enough.
private func megabytes(_ bytes: Int) -> String { "\((bytes + 999_999) / 1_000_000) MB" }
