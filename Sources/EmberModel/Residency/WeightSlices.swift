import EmberFormat

/// The matrices of a model cut into slices, and where each slice lives: pinned, lent a place for a
/// while, or in the ring that it streams through.
///
/// A slice is some groups of rows of one matrix, two megabytes or less: small enough that a ring of some
/// of them is little memory, large enough for the disk's full speed. Pinned slices are spread evenly
/// over the pass, so that the disk reads all the time while the processors compute.
struct WeightSlices: Sendable {
  struct Slice: Sendable {
    let groups: Range<Int>
    /// Bytes of the file.
    let source: Range<Int>
    var home = Home.ring(ticket: 0)

    var pages: Range<Int> { UncachedFile.pages(around: source) }
    var isStreaming: Bool { if case .ring = home { true } else { false } }
  }

  enum Home: Sendable, Equatable {
    /// First byte in the pinned memory.
    case pinned(place: Int)
    /// First byte in memory that is wanted back (`lending`).
    case lent(place: Int)
    /// Among the slices that stream, in the order of use.
    case ring(ticket: Int)
  }

  private(set) var slices: [Slice]
  /// The slices of each matrix of the inventory.
  let ofMatrix: [Range<Int>]
  /// Bytes of the pinned slices, in whole pages.
  let pinnedBytes: Int
  /// Bytes of the slices that are lent a place, and which these are, as they lie there.
  private(set) var lentBytes = 0
  private var lent: [Int] = []
  /// Bytes that stream by in a pass with logits, in whole pages.
  private(set) var streamedBytes = 0
  /// Slices that stream in the layers; those of the head come behind them.
  private(set) var layerTickets = 0
  private(set) var tickets = 0
  /// Slices of the head.
  private let head: Range<Int>

  /// - Parameters:
  ///   - sliceBytes: what a slice may take, if four row groups are not more.
  ///   - pinnable: bytes that may be pinned.
  init(_ inventory: WeightInventory, sliceBytes: Int, pinnable: Int) {
    var slices: [Slice] = []
    var ofMatrix: [Range<Int>] = []
    for matrix in inventory.matrices {
      let first = slices.count
      for groups in Self.groups(of: matrix, sliceBytes: sliceBytes) {
        let start = matrix.offset + groups.lowerBound * matrix.groupStride
        slices.append(
          Slice(groups: groups, source: start..<start + groups.count * matrix.groupStride))
      }
      ofMatrix.append(first..<slices.count)
    }
    // The head comes first where it takes no more than half: prompts and evaluations compute the
    // logits of many tokens, a few at a time, and each time the whole head.
    head = ofMatrix.last ?? 0..<0
    let headBytes = slices[head].reduce(0) { $0 + $1.pages.count }
    let pinsHead = headBytes <= pinnable / 2
    let layerBytes = slices.reduce(-headBytes) { $0 + $1.pages.count }
    // After each slice, as much is pinned as is due by then: of the whole, this share.
    let room = pinsHead ? pinnable - headBytes : pinnable
    let total = pinsHead ? layerBytes : layerBytes + headBytes
    let share = min(1, Double(max(0, room)) / Double(max(1, total)))
    var passed = 0
    var pinned = 0
    for i in slices.indices {
      let bytes = slices[i].pages.count
      let isHead = head.contains(i)
      passed += bytes
      let isDue = Double(pinned) + Double(bytes) / 2 <= share * Double(passed)
      if isHead && pinsHead || isDue && pinned + bytes <= room {
        slices[i].home = .pinned(place: pinned)
        pinned += bytes
      }
    }
    self.slices = slices
    self.ofMatrix = ofMatrix
    pinnedBytes = pinned
    giveTickets()
  }

  /// Numbers the slices that stream.
  private mutating func giveTickets() {
    (tickets, layerTickets, streamedBytes) = (0, 0, 0)
    for i in slices.indices {
      guard case .ring = slices[i].home else { continue }
      slices[i].home = .ring(ticket: tickets)
      tickets += 1
      streamedBytes += slices[i].pages.count
      if !head.contains(i) { layerTickets = tickets }
    }
  }

  /// The same, with as many of the layers' streaming slices as fit into `room` bytes lent a place there.
  ///
  /// They are taken in an order of which every beginning is spread over the pass, and lie in that
  /// order: with less room the last ones stream again, and no other is moved.
  func lending(_ room: Int) -> WeightSlices {
    var result = self
    let streaming = slices.indices.filter { slices[$0].isStreaming && !head.contains($0) }
    for i in Self.spread(streaming) {
      let bytes = slices[i].pages.count
      if result.lentBytes + bytes > room { break }
      result.slices[i].home = .lent(place: result.lentBytes)
      result.lentBytes += bytes
      result.lent.append(i)
    }
    result.giveTickets()
    return result
  }

  /// Lets the last ones stream again that do not lie in the first `room` bytes; allocates nothing.
  mutating func takeBack(leaving room: Int) {
    while lentBytes > room, let last = lent.popLast() {
      lentBytes -= slices[last].pages.count
      slices[last].home = .ring(ticket: 0)
    }
    giveTickets()
  }

  /// In the order of their places' bits read backwards (van der Corput's sequence).
  private static func spread(_ items: [Int]) -> [Int] {
    func reversed(_ number: Int) -> UInt32 {
      (0..<32).reduce(0) { $0 << 1 | UInt32(truncatingIfNeeded: number >> $1) & 1 }
    }
    return items.indices.sorted { reversed($0) < reversed($1) }.map { items[$0] }
  }

  /// Room that any slice needs, in whole pages.
  static func slotBytes(_ inventory: WeightInventory, sliceBytes: Int) -> Int {
    var largest = 0
    for matrix in inventory.matrices {
      let groups = Self.groups(of: matrix, sliceBytes: sliceBytes).first?.count ?? 0
      // Wherever it begins inside its first page.
      let pages = UncachedFile.pages(around: 0..<groups * matrix.groupStride)
      largest = max(largest, pages.count + UncachedFile.alignment)
    }
    return largest
  }

  /// Slices of about equal size, in multiples of what kernels take at once.
  private static func groups(
    of matrix: WeightInventory.Matrix, sliceBytes: Int
  ) -> [Range<Int>] {
    let unit = 4
    let most = max(unit, sliceBytes / max(1, matrix.groupStride) / unit * unit)
    let count = (matrix.rowGroups + most - 1) / most
    if count == 0 { return [] }
    let size = (matrix.rowGroups + count * unit - 1) / (count * unit) * unit
    return stride(from: 0, to: matrix.rowGroups, by: size).map {
      $0..<min($0 + size, matrix.rowGroups)
    }
  }
}
