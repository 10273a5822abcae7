public import SystemPackage

/// Where a stream of bytes comes from or goes to.
public enum StreamPlace: Sendable, Equatable {
  case file(FilePath)
  /// Standard input or standard output.
  case standard
}
