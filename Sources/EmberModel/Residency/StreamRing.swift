import EmberFormat
import Foundation
import Synchronization

/// The slots that streaming slices pass through, and who may touch which when.
///
/// Sequence n is the n-th slice that streams since the beginning; it lies in slot n mod slots. It may
/// be read from the disk once sequence n − slots was released, and computed on once all up to n are
/// there. So two counters say everything: `ready` and `released`.
final class StreamRing: @unchecked Sendable {
  // Sendable: `state` and what streams are guarded by `condition`, a slot belongs to the thread that
  // claimed its sequence until that is announced, and to the computation from then until it is
  // released.

  let file: UncachedFile
  let bytesRead = Atomic<Int>(0)

  /// The slices that stream, by ticket.
  private var streamed: [WeightSlices.Slice]
  private var layerTickets: Int
  private let memory: PrivateMemory
  private let slots: Int
  private let slotBytes: Int

  /// Sequences that are there without a gap, and those that are done with.
  private let ready = Atomic<Int>(0)
  private let released = Atomic<Int>(0)
  /// The sequence of the pass's first ticket.
  private let passStart = Atomic<Int>(0)
  private let condition = NSCondition()
  private var state: State

  private struct State {
    /// What the next reader takes.
    var sequence = 0
    var ticket = 0
    /// The pass that `ticket` belongs to, and those that have begun.
    var pass = 0
    var begunPasses = 0
    /// Whether logits are wanted, of the last even and odd pass that have begun. The readers are
    /// never further behind: a pass needs the slices of the one before.
    var hasHead = [false, false]
    var passLength = 0
    /// What each slot holds.
    var held: [Int]
    var sleepingReaders = 0
    var sleepingWorkers = 0
    var readsInFlight = 0
    var isPaused = false
    var isStopped = false
    var failure: FormatError?
  }

  init(
    file: UncachedFile, slices: WeightSlices, memory: PrivateMemory, slots: Int, slotBytes: Int
  ) {
    self.file = file
    self.memory = memory
    self.slots = slots
    self.slotBytes = slotBytes
    streamed = slices.slices.filter(\.isStreaming)
    streamed.reserveCapacity(slices.slices.count)
    layerTickets = slices.layerTickets
    state = State(held: [Int](repeating: -1, count: slots))
  }

  // MARK: - The computation's side

  func beginPass(withHead: Bool) {
    condition.lock()
    passStart.add(state.passLength, ordering: .relaxed)
    state.passLength = withHead ? streamed.count : layerTickets
    // A pass that needs nothing is none.
    if state.passLength > 0 {
      state.hasHead[state.begunPasses % 2] = withHead
      state.begunPasses += 1
      if state.sleepingReaders > 0 { condition.broadcast() }
    }
    condition.unlock()
  }

  /// The slot of a slice of this pass, once the slice is there.
  func wait(ticket: Int) -> UnsafeMutableRawPointer {
    let sequence = passStart.load(ordering: .relaxed) + ticket
    if ready.load(ordering: .acquiring) <= sequence {
      condition.lock()
      state.sleepingWorkers += 1
      while ready.load(ordering: .relaxed) <= sequence { condition.wait() }
      state.sleepingWorkers -= 1
      condition.unlock()
    }
    return memory.address + sequence % slots * slotBytes
  }

  func release(ticket: Int) {
    let count = passStart.load(ordering: .relaxed) + ticket + 1
    if released.load(ordering: .relaxed) >= count { return }
    condition.lock()
    if released.load(ordering: .relaxed) < count {
      released.store(count, ordering: .relaxed)
      if state.sleepingReaders > 0 { condition.broadcast() }
    }
    condition.unlock()
  }

  /// Goes on with other slices, from the beginning of a pass; not to be called during one.
  ///
  /// What was read ahead is read once more. Allocates nothing.
  func restart(with slices: WeightSlices) {
    condition.lock()
    state.isPaused = true
    while state.readsInFlight > 0 { condition.wait() }
    streamed.removeAll(keepingCapacity: true)
    for slice in slices.slices where slice.isStreaming { streamed.append(slice) }
    layerTickets = slices.layerTickets
    (state.sequence, state.ticket, state.pass) = (0, 0, 0)
    (state.begunPasses, state.passLength) = (0, 0)
    for slot in state.held.indices { state.held[slot] = -1 }
    ready.store(0, ordering: .relaxed)
    released.store(0, ordering: .relaxed)
    passStart.store(0, ordering: .relaxed)
    state.isPaused = false
    condition.broadcast()
    condition.unlock()
  }

  var failure: FormatError? {
    condition.lock()
    defer { condition.unlock() }
    return state.failure
  }

  // MARK: - The readers' side

  /// Reads slices until `stop` is called; any number of threads may do so together.
  func run() {
    while let (sequence, slice) = claim() {
      let start = sequence % slots * slotBytes
      do throws(FormatError) {
        if let failure { throw failure }
        try file.read(
          slice.pages, upTo: slice.source.upperBound,
          into: memory.bytes(start..<start + slotBytes))
        bytesRead.add(slice.pages.count, ordering: .relaxed)
        announce(sequence, nil)
      } catch {
        announce(sequence, error)
      }
    }
  }

  func stop() {
    condition.lock()
    state.isStopped = true
    condition.broadcast()
    condition.unlock()
  }

  /// The next slice to read, as soon as its slot is free; nil at the end.
  private func claim() -> (sequence: Int, slice: WeightSlices.Slice)? {
    condition.lock()
    defer { condition.unlock() }
    while !state.isStopped {
      if !state.isPaused, let ticket = nextTicket(),
        state.sequence - released.load(ordering: .relaxed) < slots
      {
        state.ticket = ticket + 1
        state.sequence += 1
        state.readsInFlight += 1
        return (state.sequence - 1, streamed[ticket])
      }
      state.sleepingReaders += 1
      condition.wait()
      state.sleepingReaders -= 1
    }
    return nil
  }

  /// What comes next, or nil while nobody knows: behind the layers of a pass, its head or the layers
  /// of the next pass, which the beginning of the pass decides.
  private func nextTicket() -> Int? {
    if streamed.isEmpty { return nil }
    if state.ticket == layerTickets, layerTickets < streamed.count {
      if state.pass >= state.begunPasses { return nil }
      if state.hasHead[state.pass % 2] { return state.ticket }
    } else if state.ticket < streamed.count {
      return state.ticket
    }
    state.pass += 1
    state.ticket = 0
    // A pass without layers is all head.
    return layerTickets > 0 ? 0 : nextTicket()
  }

  private func announce(_ sequence: Int, _ failure: FormatError?) {
    condition.lock()
    if let failure, state.failure == nil { state.failure = failure }
    state.held[sequence % slots] = sequence
    var count = ready.load(ordering: .relaxed)
    while state.held[count % slots] == count { count += 1 }
    // What was written into the slots is visible to whoever sees the count.
    ready.store(count, ordering: .releasing)
    state.readsInFlight -= 1
    if state.sleepingWorkers > 0 || state.isPaused { condition.broadcast() }
    condition.unlock()
  }
}
