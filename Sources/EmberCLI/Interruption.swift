import Ember
import Foundation
import Synchronization

/// Ctrl-C, SIGTERM and SIGHUP as a flag that long work asks for.
///
/// The first signal sets the flag; a second one of the same kind ends the process at once.
enum Interruption {
  static let signals = [SIGINT, SIGTERM, SIGHUP]

  /// The number of the signal, 0 for none.
  private static let flag = Atomic<Int32>(0)

  /// From here on, the signals set the flag instead of ending the process. Not earlier than needed:
  /// while a prompt is typed, Ctrl-C should end the process as usual.
  static func catchSignals() {
    // Initialises the global now, since a signal handler must not be the first to touch it.
    flag.store(0, ordering: .relaxed)
    for number in signals {
      install(number) { number in
        Interruption.flag.store(number, ordering: .relaxed)
        // signal(2) is among the calls that POSIX allows in a handler.
        signal(number, SIG_DFL)
      }
    }
  }

  static func install(_ number: Int32, _ handler: @escaping @convention(c) (Int32) -> Void) {
    let previous = signal(number, handler)
    // Started by nohup: a hang-up is to be ignored.
    if number == SIGHUP, unsafeBitCast(previous, to: Int.self) == 1 { signal(number, SIG_IGN) }
    // A program whose threads block signals, as Dispatch's do, hands that down to its children.
    var set = sigset_t()
    sigemptyset(&set)
    sigaddset(&set, number)
    pthread_sigmask(SIG_UNBLOCK, &set, nil)
  }

  static var hasHappened: Bool { flag.load(ordering: .relaxed) != 0 }

  /// The status for work that stopped because of the flag.
  static var exitStatus: ExitStatus {
    ExitStatus(rawValue: 128 + flag.load(ordering: .relaxed)) ?? .interrupted
  }
}
