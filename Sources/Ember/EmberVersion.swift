/// The version of this library and of the `ember` command.
public enum EmberVersion {
  /// A semantic version (semver.org); the one that model files say they were written by.
  public static let current = Converter.version
}
