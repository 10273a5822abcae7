import Ember
import EmberFormat
import Foundation
import Synchronization

/// What runs inside a signal handler: only calls that POSIX allows there, only memory that was
/// prepared before. Everything here is unsafe in the sense that the compiler cannot check it.
enum UnsafeSignalHandlers {
  /// Address of the line for a model file that can no longer be read; never freed.
  private static let faultLine = Atomic<Int>(0)
  private static let faultLineLength = Atomic<Int>(0)
  /// Whether there is a terminal whose progress line should be removed.
  private static let hasTerminal = Atomic<Bool>(false)

  /// The weights are read by touching mapped pages. Where the file shrinks or its disk fails, the
  /// system has no way to tell but SIGBUS: here it becomes the usual one line.
  static func reportFaults(in paths: [FilePath]) {
    prepareTerminal()
    let names = OneLine.escape(paths.map(\.string).joined(separator: ", "))
    let line = Array(
      ("ember: error: \(names): the model file changed or became unreadable while it was in use:"
        + " restore it and run again\n").utf8)
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: line.count, alignment: 1)
    memory.copyBytes(from: line)
    faultLine.store(Int(bitPattern: memory.baseAddress), ordering: .sequentiallyConsistent)
    faultLineLength.store(line.count, ordering: .sequentiallyConsistent)
    signal(SIGBUS) { _ in
      UnsafeSignalHandlers.clearLine()
      let address = UnsafeSignalHandlers.faultLine.load(ordering: .relaxed)
      if let line = UnsafeRawPointer(bitPattern: address) {
        _ = write(2, line, UnsafeSignalHandlers.faultLineLength.load(ordering: .relaxed))
      }
      _exit(ExitStatus.inputOutput.rawValue)
    }
  }

  /// From here on Ctrl-C, SIGTERM and SIGHUP end the process with the status that a shell would
  /// report, and leave no half-drawn progress line. For commands that leave nothing to clean up.
  static func exitOnSignals() {
    prepareTerminal()
    for number in Interruption.signals {
      Interruption.install(number) { number in
        UnsafeSignalHandlers.clearLine()
        _exit(128 + number)
      }
    }
  }

  private static func prepareTerminal() {
    hasTerminal.store(StandardError.isTerminal, ordering: .sequentiallyConsistent)
    // Initialises the globals now: a handler must not be the first to touch them.
    _ = faultLine.load(ordering: .relaxed)
    _ = faultLineLength.load(ordering: .relaxed)
  }

  private static func clearLine() {
    if hasTerminal.load(ordering: .relaxed) {
      // On the stack, as a handler may not allocate: return, and erase to the end of the line.
      var sequence: (UInt8, UInt8, UInt8, UInt8) = (0x0D, 0x1B, 0x5B, 0x4B)
      _ = write(2, &sequence, 4)
    }
  }
}
