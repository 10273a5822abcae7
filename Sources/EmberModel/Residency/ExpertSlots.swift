import EmberFormat
import Foundation

/// The slots that experts are kept in, and who may touch which when.
///
/// A layer asks for its experts in the order in which it computes them. Each in turn is granted a slot:
/// the one that it is in, or the one that is least worth keeping; where all are in use, it and those
/// behind it wait until the computation releases some. What is granted and not there is read, in the
/// order of the grants. So the computation gets on as long as a layer's largest demand at once has
/// slots.
///
/// Least worth keeping is what was used least recently, among the layers that hold more than their
/// share: every layer comes once per token, so the least recently used of all would be what is needed
/// next, and slots for less than a whole token would keep nothing that is used again.
final class ExpertSlots: @unchecked Sendable {
  // Sendable: `state` is guarded by `condition`; a slot belongs to the readers from the grant until it
  // is announced, and then to the computation until it is released.

  private let file: UncachedFile
  private let places: [ExpertPlaces]
  private let memory: PrivateMemory
  private let slotBytes: Int
  private let expertsPerLayer: Int
  private let condition = NSCondition()
  private var state: State

  private struct State {
    /// The slot of each expert of the model, or −1.
    var slotOfExpert: [Int]
    /// The expert in each slot, or −1.
    var expertInSlot: [Int]
    var lastUse: [Int]
    var isInUse: [Bool]
    /// Pieces that are to come.
    var missingPieces: [Int]
    /// Slots that a layer holds, and those that it may keep.
    var held: [Int]
    var share: [Int]
    var clock = 0
    /// What the computing layer asked for, [experts of a layer], and the slots that were granted.
    var wanted: [Int]
    var granted: [Int]
    var wantedCount = 0
    var grantedCount = 0
    var releasedCount = 0
    /// Of the granted, those that must be read, and what the next reader takes.
    var reads: [Int]
    var readCount = 0
    var nextRead = 0
    var nextPiece = 0
    var sleepingReaders = 0
    var sleepingWorkers = 0
    var isStopped = false
    var statistics = ExpertStatistics()
    var failure: FormatError?
  }

  init(
    file: UncachedFile, places: [ExpertPlaces], memory: PrivateMemory, slots: Int, slotBytes: Int,
    expertsPerLayer: Int, usedExperts: Int
  ) {
    self.file = file
    self.places = places
    self.memory = memory
    self.slotBytes = slotBytes
    self.expertsPerLayer = expertsPerLayer
    let layers = places.count / max(1, expertsPerLayer)
    // Those of the layer that is being computed come and go beside what all layers keep.
    let kept = max(0, slots - usedExperts)
    state = State(
      slotOfExpert: [Int](repeating: -1, count: places.count),
      expertInSlot: [Int](repeating: -1, count: slots),
      lastUse: [Int](repeating: 0, count: slots),
      isInUse: [Bool](repeating: false, count: slots),
      missingPieces: [Int](repeating: 0, count: slots),
      held: [Int](repeating: 0, count: layers),
      share: (0..<layers).map { ($0 + 1) * kept / layers - $0 * kept / layers },
      wanted: [Int](repeating: 0, count: expertsPerLayer),
      granted: [Int](repeating: 0, count: expertsPerLayer),
      reads: [Int](repeating: 0, count: expertsPerLayer))
  }

  // MARK: - The computation's side

  /// What a layer needs, in the order in which it computes it; what it needed before is released.
  func request(_ experts: UnsafeBufferPointer<Int32>, layer: Int) {
    condition.lock()
    release(upTo: state.wantedCount)
    state.wantedCount = min(experts.count, expertsPerLayer)
    state.grantedCount = 0
    state.releasedCount = 0
    state.readCount = 0
    state.nextRead = 0
    for i in 0..<state.wantedCount {
      let expert = layer * expertsPerLayer + Int(experts[i])
      state.wanted[i] = expert
      // What is here must not give way to those before it.
      if state.slotOfExpert[expert] >= 0 { use(state.slotOfExpert[expert]) }
    }
    grant()
    condition.unlock()
  }

  /// The slot of what was asked for as number i, once it is there.
  func wait(for i: Int) -> (slot: UnsafeMutableRawPointer, places: ExpertPlaces) {
    condition.lock()
    while i >= state.grantedCount || state.missingPieces[state.granted[i]] > 0 {
      state.sleepingWorkers += 1
      condition.wait()
      state.sleepingWorkers -= 1
    }
    let slot = state.granted[i]
    let places = places[state.wanted[i]]
    condition.unlock()
    return (memory.address + slot * slotBytes, places)
  }

  /// Gives back the slots of number i and those before it.
  func release(through i: Int) {
    condition.lock()
    release(upTo: i + 1)
    grant()
    condition.unlock()
  }

  var statistics: ExpertStatistics {
    condition.lock()
    defer { condition.unlock() }
    return state.statistics
  }

  var failure: FormatError? {
    condition.lock()
    defer { condition.unlock() }
    return state.failure
  }

  // MARK: - Below, the condition is locked

  private func use(_ slot: Int) {
    state.clock += 1
    state.lastUse[slot] = state.clock
  }

  private func release(upTo count: Int) {
    while state.releasedCount < min(count, state.grantedCount) {
      state.isInUse[state.granted[state.releasedCount]] = false
      state.releasedCount += 1
    }
  }

  private func grant() {
    let readBefore = state.readCount
    while state.grantedCount < state.wantedCount {
      let expert = state.wanted[state.grantedCount]
      var slot = state.slotOfExpert[expert]
      if slot >= 0 {
        state.statistics.hits += 1
      } else {
        slot = leastWorth(for: expert / expertsPerLayer)
        if slot < 0 { break }
        put(expert, in: slot)
        state.statistics.misses += 1
      }
      use(slot)
      state.isInUse[slot] = true
      state.granted[state.grantedCount] = slot
      state.grantedCount += 1
    }
    if state.readCount > readBefore, state.sleepingReaders > 0 { condition.broadcast() }
  }

  private func put(_ expert: Int, in slot: Int) {
    let old = state.expertInSlot[slot]
    if old >= 0 {
      state.slotOfExpert[old] = -1
      state.held[old / expertsPerLayer] -= 1
    }
    state.expertInSlot[slot] = expert
    state.slotOfExpert[expert] = slot
    state.held[expert / expertsPerLayer] += 1
    state.missingPieces[slot] = places[expert].pieces.count
    state.reads[state.readCount] = slot
    state.readCount += 1
  }

  /// The slot for one more expert of a layer; −1 where all are in use.
  private func leastWorth(for layer: Int) -> Int {
    var best = -1
    var bestIsOver = false
    for slot in state.expertInSlot.indices where !state.isInUse[slot] {
      let expert = state.expertInSlot[slot]
      if expert < 0 { return slot }
      let owner = expert / expertsPerLayer
      let isOver = state.held[owner] + (owner == layer ? 1 : 0) > state.share[owner]
      let isOlder = best < 0 || state.lastUse[slot] < state.lastUse[best]
      if isOver && !bestIsOver || isOver == bestIsOver && isOlder {
        best = slot
        bestIsOver = isOver
      }
    }
    return best
  }

  // MARK: - The readers' side

  /// Reads what is granted until `stop` is called; any number of threads may do so together.
  func run() {
    while let (slot, piece) = claim() {
      let start = slot * slotBytes + piece.place
      do throws(FormatError) {
        if let failure { throw failure }
        try file.read(
          piece.pages, upTo: piece.end, into: memory.bytes(start..<start + piece.pages.count))
        announce(slot, piece.pages.count, nil)
      } catch {
        announce(slot, 0, error)
      }
    }
  }

  func stop() {
    condition.lock()
    state.isStopped = true
    condition.broadcast()
    condition.unlock()
  }

  private func claim() -> (slot: Int, piece: ExpertPlaces.Piece)? {
    condition.lock()
    defer { condition.unlock() }
    while !state.isStopped {
      if state.nextRead < state.readCount {
        let slot = state.reads[state.nextRead]
        let pieces = places[state.expertInSlot[slot]].pieces
        let piece = pieces[state.nextPiece]
        state.nextPiece += 1
        if state.nextPiece == pieces.count {
          state.nextPiece = 0
          state.nextRead += 1
        }
        return (slot, piece)
      }
      state.sleepingReaders += 1
      condition.wait()
      state.sleepingReaders -= 1
    }
    return nil
  }

  private func announce(_ slot: Int, _ bytes: Int, _ failure: FormatError?) {
    condition.lock()
    if let failure, state.failure == nil { state.failure = failure }
    state.statistics.bytesRead += bytes
    state.missingPieces[slot] -= 1
    if state.missingPieces[slot] == 0, state.sleepingWorkers > 0 { condition.broadcast() }
    condition.unlock()
  }
}

/// How a session came by its experts so far.
public struct ExpertStatistics: Sendable, Equatable {
  /// Times that an expert was needed and in memory.
  public internal(set) var hits = 0
  /// Times that it had to be read.
  public internal(set) var misses = 0
  public internal(set) var bytesRead = 0

  public init() {}

  /// Of all times, those in which it was in memory; nil where none was needed.
  public var hitRate: Double? {
    hits + misses == 0 ? nil : Double(hits) / Double(hits + misses)
  }
}
