public import EmberFormat
public import SystemPackage

/// What can go wrong with a session file, one case per cause.
public enum SessionFileError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The magic is not a session file's.
  case notSessionFile(FilePath, found: String)
  /// A version that this reader does not know.
  case unsupportedVersion(FilePath, found: UInt32)
  /// The file ends early.
  case truncated(FilePath, expected: Int, found: Int)
  /// A value contradicts the specification, the rest of the file or its checksum.
  case damaged(FilePath, place: String, expected: String, found: String)
  /// Saved with another model; names of both, and what tells them apart.
  case otherModel(FilePath, saved: String, current: String)
  /// Saved with a key/value cache of another kind.
  case otherCache(FilePath, saved: String, current: String)
  /// zstd fails, for want of memory.
  case cannotCompress(FilePath)
  /// The system's error, or the model file's.
  case file(FormatError)

  public var description: String {
    let advice = "choose another file with --session, or delete this one"
    return switch self {
    case .notSessionFile(let path, let found):
      "\(path): not an Ember session file: found \(found); choose another file with --session"
    case .unsupportedVersion(let path, let found):
      "\(path): session file version \(found), this Ember reads version"
        + " \(SessionHeader.version); update Ember, or \(advice)"
    case .truncated(let path, let expected, let found):
      "\(path): truncated: \(expected - found) bytes are missing, expected \(expected), found"
        + " \(found); \(advice)"
    case .damaged(let path, let place, let expected, let found):
      "\(path): damaged: \(place): expected \(expected), found \(found); \(advice)"
    case .otherModel(let path, let saved, let current):
      "\(path): saved with the model \(saved), this is \(current); \(advice)"
    case .otherCache(let path, let saved, let current):
      "\(path): saved with a key/value cache of \(saved) bits, this run has one of \(current);"
        + " choose --cache-bits as it was, or another file with --session"
    case .cannotCompress(let path):
      "\(path): zstd cannot compress or decompress for want of memory"
    case .file(let error):
      error.description
    }
  }
}
