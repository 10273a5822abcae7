import Ember
import EmberFormat

/// A line on the terminal that says how far the work is; nothing where standard error is no
/// terminal.
final class Progress {
  private let isShown = StandardError.isTerminal
  private let clock = ContinuousClock()
  private let start: ContinuousClock.Instant
  private var last: ContinuousClock.Instant?

  private let delay: Duration

  /// - Parameter delay: work that is done by then shows nothing.
  init(after delay: Duration = .zero) {
    start = clock.now
    self.delay = delay
  }

  /// Draws the bar, at most ten times a second.
  ///
  /// - Parameters:
  ///   - done: of `total`, in the same unit.
  ///   - rate: words for the speed, from units per second.
  ///   - note: what is being done.
  func update(done: Int, total: Int, note: String, rate: (Double) -> String) {
    guard isShown, total > 0 else { return }
    let now = clock.now
    if now - start < delay { return }
    if let last, now - last < .milliseconds(100), done < total { return }
    last = now
    let seconds = (now - start) / .seconds(1)
    let share = min(1, Double(done) / Double(total))
    let filled = Int(share * 24)
    let bar = String(repeating: "#", count: filled) + String(repeating: "-", count: 24 - filled)
    var line = "[\(bar)] \(Format.fixed(share * 100, 0).leftPadded(to: 3)) %"
    if seconds > 0.2, done > 0 {
      let speed = Double(done) / seconds
      line += "  \(rate(speed))  \(Format.duration(Double(total - done) / speed)) left"
    }
    line += "  " + OneLine.escape(note)
    // Return to the start of the line, and erase what was longer.
    StandardError.write("\r\(line.prefix(79))\u{1B}[K")
  }

  /// Removes the line.
  func finish() {
    if isShown, last != nil { StandardError.write("\r\u{1B}[K") }
    last = nil
  }
}
