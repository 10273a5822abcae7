import Ember
import Synchronization

/// Reads a model's weights ahead of the computation and shows how far that is, where it takes
/// noticeably long.
final class ReadingProgress: Sendable {
  private let line = Mutex(Progress(after: .milliseconds(300)))
  private let reading = Mutex<WeightReading?>(nil)

  /// Shows how far reading is that somebody else does.
  @Sendable func show(done: Int, total: Int) {
    line.withLock { line in
      line.update(done: done, total: total, note: "reading the model") {
        "\(Format.fixed($0 * 1e-9, 2)) GB/s"
      }
    }
  }

  /// Begins to read ahead, unless the weights are not in the mapping.
  func begin(_ model: Model, plan: MemoryPlan) {
    finish()
    if plan.weights == .streamed { return }
    reading.withLock { reading in
      reading = model.readAhead { [weak self] done, total in self?.show(done: done, total: total) }
    }
  }

  /// Ends the reading and removes the line, before anything else is printed.
  func finish() {
    reading.withLock { reading in
      reading?.finish()
      reading = nil
    }
    line.withLock { $0.finish() }
  }
}
