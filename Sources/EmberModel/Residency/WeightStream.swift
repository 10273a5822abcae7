import Dispatch
import EmberFormat
import EmberKernels
import Foundation
import Synchronization

/// The weights of a model that is larger than its memory, on their way past the computation.
///
/// Pinned slices are read once and stay. The others go through a ring of slots, always in the same
/// order: threads read them ahead into slots that the computation has left behind, several at a time,
/// while it waits only for the slice that it needs next. Sequence numbers tell which slice a slot
/// holds: slices count up from the beginning of the session, and number n lies in slot n mod slots.
/// Room that the key/value cache does not need yet is lent to some of them (`takeBack`).
///
/// What cannot be read does not stop a step, which has no way to fail in its middle: the step goes on
/// over whatever the slot holds, and the session throws `failure` before anybody sees a result.
final class WeightStream: @unchecked Sendable {
  // Sendable because everything that changes is atomic, guarded by `StreamRing.condition`, or changed
  // between steps only, and slots are written only between being released and being announced.

  private(set) var slices: WeightSlices
  private let pinned: PrivateMemory
  private let lent: PrivateMemory
  private let ring: StreamRing
  private let threads = DispatchGroup()

  /// Reads in flight. More did not raise the throughput of a virtual disk at 1 to 4 MB each, and fewer
  /// let it vary more.
  static let readers = 8

  /// Why pinned memory is not locked; nil if it is, if there is none, or before it is filled.
  private(set) var lockFailure: PrivateMemory.LockFailure?

  /// Takes the memory; nothing is read yet.
  ///
  /// - Parameter room: bytes that are lent at first.
  /// - Throws: `ModelError.outOfMemory`
  init(
    _ slices: WeightSlices, of file: ModelFile, slots: Int, slotBytes: Int, room: Int = 0
  ) throws(ModelError) {
    // Also where all that streams is lent a place for now.
    let streams = slices.tickets > 0
    let slices = slices.lending(room)
    self.slices = slices
    let ringBytes = streams ? slots * slotBytes : 0
    do {
      pinned = try PrivateMemory(byteCount: slices.pinnedBytes)
      lent = try PrivateMemory(byteCount: slices.lentBytes)
      ring = StreamRing(
        file: UncachedFile(file), slices: slices,
        memory: try PrivateMemory(byteCount: ringBytes, inLargePages: true), slots: slots,
        slotBytes: slotBytes)
    } catch {
      throw .outOfMemory(
        bytes: slices.pinnedBytes + slices.lentBytes + ringBytes, purpose: "weights")
    }
    guard streams else { return }
    // Only what is read is held, not the stream: it would never end.
    Self.startReaders(in: threads) { [ring] in ring.run() }
  }

  /// Each has a serial queue of its own, and so a thread, however busy Dispatch's pool is with computing
  /// and however few processors there are.
  private static func startReaders(
    in group: DispatchGroup, _ body: @escaping @Sendable () -> Void
  ) {
    for _ in 0..<readers {
      DispatchQueue(label: "ember.weight-stream").async(group: group, execute: body)
    }
  }

  deinit {
    ring.stop()
    threads.wait()
  }

  /// Takes back what is lent beyond `room` bytes: the slices there stream again. Not during a step;
  /// allocates nothing.
  func takeBack(leaving room: Int) {
    let before = slices.lentBytes
    if before <= room { return }
    slices.takeBack(leaving: room)
    ring.restart(with: slices)
    lent.release(slices.lentBytes..<before)
  }

  /// Reads the slices that do not stream, several at a time; call it once, before the first step.
  ///
  /// - Parameter progress: called now and then, on any thread but one at a time.
  /// - Throws: `ModelError.reading`
  func fill(
    progress: @escaping @Sendable (_ bytesDone: Int, _ bytesTotal: Int) -> Void = { _, _ in }
  ) throws(ModelError) {
    let total = slices.pinnedBytes + slices.lentBytes
    let wanted = slices.slices.filter { !$0.isStreaming }
    let state = Mutex((next: 0, done: 0, failure: FormatError?.none))
    let group = DispatchGroup()
    Self.startReaders(in: group) {
      while true {
        let slice: WeightSlices.Slice? = state.withLock { state in
          guard state.failure == nil, state.next < wanted.count else { return nil }
          state.next += 1
          return wanted[state.next - 1]
        }
        guard let slice else { return }
        // Places of different slices do not overlap.
        let target = UnsafeMutableRawBufferPointer(
          start: self.address(of: slice), count: slice.pages.count)
        do throws(FormatError) {
          try self.ring.file.read(slice.pages, upTo: slice.source.upperBound, into: target)
          state.withLock { state in
            state.done += slice.pages.count
            progress(state.done, total)
          }
        } catch {
          state.withLock { $0.failure = error }
        }
      }
    }
    group.wait()
    if let failure = state.withLock({ $0.failure }) { throw .reading(failure) }
    if slices.pinnedBytes > 0 { lockFailure = pinned.lock() }
  }

  /// Announces a step: one pass over the layers, and over the head if logits are wanted.
  func beginPass(withHead: Bool) { ring.beginPass(withHead: withHead) }

  /// What went wrong so far.
  var failure: FormatError? { ring.failure }

  /// Bytes read into the ring so far.
  var bytesStreamed: Int { ring.bytesRead.load(ordering: .relaxed) }

  /// A slice as a matrix of its own, as soon as it is there, and which row of the whole its first
  /// is. Every worker of a step calls it before the phase that reads the slice.
  func wait(for index: Int, of matrix: Matrix) -> (slice: Matrix, firstRow: Int) {
    let slice = slices.slices[index]
    let pages = address(of: slice)
    let firstRow = 16 * slice.groups.lowerBound
    let view = Matrix(
      type: matrix.type, rows: min(16 * slice.groups.count, matrix.rows - firstRow),
      columns: matrix.columns, outlierSteps: matrix.outlierSteps,
      data: UnsafeRawPointer(pages + slice.source.lowerBound - slice.pages.lowerBound))
    return (view, firstRow)
  }

  /// Where a slice lies, as soon as it is there.
  private func address(of slice: WeightSlices.Slice) -> UnsafeMutableRawPointer {
    switch slice.home {
    case .pinned(let place): pinned.address + place
    case .lent(let place): lent.address + place
    case .ring(let ticket): ring.wait(ticket: ticket)
    }
  }

  /// Gives a slice's slot back; every worker calls it after the phase that read it.
  func release(_ index: Int) {
    if case .ring(let ticket) = slices.slices[index].home { ring.release(ticket: ticket) }
  }
}
