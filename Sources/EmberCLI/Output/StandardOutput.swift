import Ember
import Foundation
import SystemPackage

/// Standard output, unbuffered: text appears as it is made.
enum StandardOutput {
  /// - Throws: `BrokenPipe` when the reader has gone, `CommandError.cannotWriteOutput`.
  static func write(_ text: String) throws {
    do {
      try FileDescriptor.standardOutput.writeAll(text.utf8)
    } catch Errno.brokenPipe {
      throw BrokenPipe()
    } catch let error as Errno {
      throw CommandError.cannotWriteOutput(error)
    }
  }
}

/// Standard error: statistics, progress and the one line of an error.
enum StandardError {
  /// Nobody can be told when this fails, so it may.
  static func write(_ text: String) {
    _ = try? FileDescriptor.standardError.writeAll(text.utf8)
  }

  static var isTerminal: Bool { isatty(FileDescriptor.standardError.rawValue) != 0 }
}

/// The reader of standard output has gone, as `head -1` does: no error, just the end.
struct BrokenPipe: Error {
  /// Makes writing fail instead of ending the process, so that files are cleaned up first.
  static func ignoreSignal() { signal(SIGPIPE, SIG_IGN) }
}

/// A limit on the size of files, as `ulimit -f` sets it.
enum FileSizeLimit {
  /// Makes writing fail instead of ending the process, so that files are cleaned up first.
  static func ignoreSignal() { signal(SIGXFSZ, SIG_IGN) }
}

extension ExitStatus {
  func exit() -> Never { Foundation.exit(rawValue) }
}
