public import EmberFormat
public import SystemPackage

/// Why statistics cannot be collected, saved, read or merged: one case per cause.
public enum CalibrationError: Error, Sendable, Equatable {
  /// An option outside its range.
  case invalidOption(name: String, expected: String, found: String)
  /// The text has no tokens.
  case emptyText
  /// The statistics of one layer need more memory than there is.
  case tooLarge(bytes: Int, available: Int)
  /// An input of a matrix became infinite or no number.
  case notFinite(site: String, column: Int)
  /// The system gave no room for the hidden states of the text.
  case temporaryFile(folder: String, operation: String, Errno)
  /// The caller asked to stop; nothing is written.
  case cancelled
  /// The file cannot be opened, read or written.
  case file(FormatError)
  /// The file is of another kind.
  case notStatistics(FilePath)
  /// A version that this reader does not know.
  case unsupportedVersion(FilePath, found: UInt32)
  /// The file ends early.
  case truncated(FilePath, expected: Int, found: Int)
  /// A value contradicts the specification, the rest of the file or its checksum.
  case damaged(FilePath, place: String, expected: String, found: String)
  /// Statistics of models that differ are not added.
  case differentModels(field: String, expected: String, found: String)
  /// A diagonal and a full matrix are not added.
  case differentDetail(expected: SecondMoments.Detail, found: SecondMoments.Detail)
  /// An encoder–decoder; only decoders are calibrated.
  case hasEncoder(FilePath)
  /// The writer was given something that the format cannot hold.
  case invalidContent(String)
}

extension CalibrationError: CustomStringConvertible {
  /// One line: what, where, expected, found, what to do.
  public var description: String {
    switch self {
    case .invalidOption(let name, let expected, let found):
      "\(name): expected \(expected), found \(found)"
    case .emptyText:
      "the calibration text has no tokens: choose a text of some thousand words"
    case .tooLarge(let bytes, let available):
      "the second moments of one layer take \(bytes) bytes, \(available) are available: "
        + "collect only the diagonal, or use a machine with more memory"
    case .notFinite(let site, let column):
      "\(site): input \(column) is infinite or not a number on the calibration text; "
        + "is the checkpoint whole?"
    case .temporaryFile(let folder, let operation, let errno):
      "\(shown(folder, limit: 400)): cannot \(operation) the temporary file of hidden states: \(errno); "
        + "set TMPDIR to a folder with more room"
    case .cancelled:
      "stopped; nothing was written"
    case .file(let error):
      error.description
    case .notStatistics(let path):
      "\(shown(path)): not a statistics file of Ember; collect one from the checkpoint and a text"
    case .unsupportedVersion(let path, let found):
      "\(shown(path)): statistics version \(found), this Ember reads version "
        + "\(StatisticsHeader.supportedVersion); update Ember or collect them again"
    case .truncated(let path, let expected, let found):
      "\(shown(path)): truncated: expected \(expected) bytes, found \(found); collect it again"
    case .damaged(let path, let place, let expected, let found):
      "\(shown(path)): damaged: \(place): expected \(expected), found \(shown(found)); collect it again"
    case .differentModels(let field, let expected, let found):
      "statistics of different models: \(field): expected \(shown(expected)), found \(shown(found))"
    case .differentDetail(let expected, let found):
      "statistics of different detail: expected \(expected.rawValue), found \(found.rawValue); "
        + "collect both alike"
    case .hasEncoder(let path):
      "\(shown(path)): is an encoder–decoder, expected a model that continues texts: convert it without"
        + " a calibration and without --target-bits"
    case .invalidContent(let problem):
      "the statistics cannot be written: \(problem)"
    }
  }
}
