import Ember
import Foundation
import Synchronization

/// A terminal that hands over each key as it is pressed. Unsafe in that a signal handler restores
/// the terminal, from memory that was prepared before.
enum UnsafeTerminalMode {
  /// Address of the settings to restore, 0 for none; never freed.
  private static let saved = Atomic<Int>(0)

  /// From here on keys come one by one and are not shown. False where that cannot be.
  static func enter() -> Bool {
    let settings: UnsafeMutablePointer<termios>
    if let known = UnsafeMutablePointer<termios>(
      bitPattern: saved.load(ordering: .sequentiallyConsistent))
    {
      settings = known
    } else {
      settings = .allocate(capacity: 1)
      settings.initialize(to: termios())
    }
    guard tcgetattr(STDIN_FILENO, settings) == 0 else { return false }
    var raw = settings.pointee
    raw.c_iflag &= ~tcflag_t(ICRNL | INLCR | IGNCR | IXON | ISTRIP | BRKINT)
    raw.c_lflag &= ~tcflag_t(ICANON | ECHO | ISIG | IEXTEN)
    withUnsafeMutableBytes(of: &raw.c_cc) {
      $0[Int(VMIN)] = 1
      $0[Int(VTIME)] = 0
    }
    saved.store(Int(bitPattern: settings), ordering: .sequentiallyConsistent)
    for number in Interruption.signals {
      Interruption.install(number) { number in
        UnsafeTerminalMode.restore()
        _exit(128 + number)
      }
    }
    return tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0
  }

  static func leave() {
    restore()
    for number in Interruption.signals { signal(number, SIG_DFL) }
  }

  private static func restore() {
    let address = saved.load(ordering: .relaxed)
    // tcsetattr(3) is among the calls that POSIX allows in a handler.
    if let settings = UnsafeMutablePointer<termios>(bitPattern: address) {
      _ = tcsetattr(STDIN_FILENO, TCSANOW, settings)
    }
  }

  /// Cells of a row.
  static var columns: Int {
    var size = winsize()
    let isKnown = ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0
    return isKnown ? Int(size.ws_col) : 80
  }

  /// Whether there is a terminal on both sides that understands cursor movement.
  static var isAvailable: Bool {
    isatty(STDIN_FILENO) != 0 && isatty(STDERR_FILENO) != 0
      && ProcessInfo.processInfo.environment["TERM"].map { $0 != "dumb" && !$0.isEmpty } == true
  }
}
