import Foundation
import Synchronization

/// Ctrl-C as a flag that long work asks for.
///
/// The first Ctrl-C sets the flag; a second one ends the process at once.
enum Interruption {
  private static let flag = Atomic<Bool>(false)

  /// From here on, Ctrl-C sets the flag instead of ending the process. Not earlier than needed:
  /// while a prompt is typed, Ctrl-C should end the process as usual.
  static func catchSignal() {
    // Initialises the global now, since a signal handler must not be the first to touch it.
    flag.store(false, ordering: .relaxed)
    signal(SIGINT) { _ in
      Interruption.flag.store(true, ordering: .relaxed)
      // signal(2) is among the calls that POSIX allows in a handler.
      signal(SIGINT, SIG_DFL)
    }
    // A program whose threads block signals, as Dispatch's do, hands that down to its children.
    var signals = sigset_t()
    sigemptyset(&signals)
    sigaddset(&signals, SIGINT)
    pthread_sigmask(SIG_UNBLOCK, &signals, nil)
  }

  static var hasHappened: Bool { flag.load(ordering: .relaxed) }
}
