import Dispatch
import EmberFormat
import Synchronization

/// Reads a model's weights from the disk ahead of the computation, on a thread of its own.
///
/// ```swift
/// let reading = model.readAhead()
/// let logits = try session.append(tokens)  // may begin at once
/// reading?.finish()
/// ```
///
/// Weights that are computed on where they lie are read when they are first touched, in steps that
/// suit the system's guess and not this use. This goes through the file in the order of the forward
/// pass at the disk's own speed. Of weights that are in memory already it takes some microseconds a
/// megabyte. Nothing depends on it but the time.
public final class WeightReading: Sendable {
  /// What is called after each window, on the reading thread.
  public typealias Progress = @Sendable (_ bytesDone: Int, _ bytesTotal: Int) -> Void

  private let isCancelled = Atomic<Bool>(false)
  private let group = DispatchGroup()

  fileprivate init(_ file: ModelFile, _ ranges: [Range<Int>], progress: @escaping Progress) {
    // A serial queue of its own: it has a thread however busy Dispatch's pool is with computing.
    DispatchQueue(label: "ember.weight-reading").async(group: group) {
      var reading = ReadAhead(file, ranges)
      while !reading.isDone, !self.isCancelled.load(ordering: .relaxed) {
        reading.advance()
        progress(reading.bytesDone, reading.totalBytes)
      }
    }
  }

  /// Stops after the window that is being read, if any, and waits for that.
  public func finish() {
    isCancelled.store(true, ordering: .relaxed)
    group.wait()
  }
}

extension Model {
  /// Begins to read the weights ahead; call it where a first token is wanted soon.
  ///
  /// - Parameters:
  ///   - availableMemory: bytes that weights may take; by default what the system can give without
  ///     taking it from anybody.
  ///   - progress: called now and then on another thread, at last with all bytes.
  /// - Returns: nil where the weights do not fit, since the first would be gone before the last are
  ///   there; then they are read as they are computed on.
  public func readAhead(
    availableMemory: Int? = nil, progress: @escaping WeightReading.Progress = { _, _ in }
  ) -> WeightReading? {
    let ranges = readingOrder
    let total = ranges.reduce(0) { $0 + $1.count }
    // A tenth stays free for the cache, the buffers, and whatever else begins meanwhile.
    let available = availableMemory ?? AvailableMemory.bytes
    return total <= available / 10 * 9
      ? WeightReading(file, ranges, progress: progress) : nil
  }

  /// The bytes of the file that every token reads, in the order in which the forward pass does: the
  /// file's own, but for an embedding table that is the output head as well. Of tables that only
  /// have rows looked up, nothing.
  package var readingOrder: [Range<Int>] {
    var ranges: [Range<Int>] = []
    var last: [Range<Int>] = []
    for tensor in file.tensors {
      let range = tensor.offset..<tensor.offset + tensor.byteCount
      if tensor.name == TensorName.embedding {
        if architecture.tiedHead { last.append(range) }
      } else if tensor.name == TensorName.position || TensorName.expertMatrix(tensor.name) != nil {
        continue
      } else if let previous = ranges.last, range.lowerBound - previous.upperBound < 4096 {
        // Only padding between them.
        ranges[ranges.count - 1] = previous.lowerBound..<range.upperBound
      } else {
        ranges.append(range)
      }
    }
    return ranges + last
  }
}
