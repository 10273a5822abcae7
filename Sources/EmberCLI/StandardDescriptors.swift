import Foundation

/// Standard input, output and error as a program expects them.
enum StandardDescriptors {
  /// Puts /dev/null where a descriptor was closed by the caller (`<&-`): otherwise the first file
  /// that is opened would take its number, and error messages might be written into a model.
  ///
  /// For reading only: an empty input, and an output that fails instead of vanishing.
  static func fillClosed() {
    for descriptor: Int32 in 0...2 where fcntl(descriptor, F_GETFD) == -1 {
      // The lowest number that is free, so this one.
      _ = open("/dev/null", O_RDONLY)
    }
  }
}
