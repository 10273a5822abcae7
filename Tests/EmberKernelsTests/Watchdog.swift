import Dispatch
import Foundation

/// Ends the process with a message where a test hangs: a thread that waits for ever can be neither
/// stopped nor reported otherwise. The time is far beyond what any test takes.
final class Watchdog: Sendable {
  private let isOver = DispatchSemaphore(value: 0)

  init(seconds: Int = 300, test: String = #function) {
    Thread { [isOver] in
      if isOver.wait(timeout: .now() + .seconds(seconds)) == .success { return }
      FileHandle.standardError.write(Data("\(test) hangs: no end after \(seconds) s\n".utf8))
      exit(1)
    }.start()
  }

  func stop() { isOver.signal() }
}
