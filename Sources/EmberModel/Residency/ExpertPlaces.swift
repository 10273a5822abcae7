import EmberFormat

/// Where an expert lies in the file, and where in its slot.
///
/// It is read in whole pages: once, where its matrices lie one behind the other, as a converter writes
/// them; in pieces of some megabytes, so that several threads can read a large one together.
struct ExpertPlaces: Sendable {
  /// One read.
  struct Piece: Sendable {
    let pages: Range<Int>
    /// The last byte of the file that must be there, exclusive.
    let end: Int
    /// First byte in the slot.
    let place: Int
  }

  let pieces: [Piece]
  /// First bytes in the slot.
  let gate, up, down: Int
  /// Bytes of a slot that are used, whole pages.
  let byteCount: Int

  private static let pieceBytes = 4 << 20

  init(_ expert: WeightInventory.Expert) {
    var runs: [Range<Int>] = []
    for range in [expert.gate, expert.up, expert.down] {
      if let last = runs.last, range.lowerBound >= last.upperBound,
        range.lowerBound - last.upperBound < UncachedFile.alignment
      {
        // Only padding between them.
        runs[runs.count - 1] = last.lowerBound..<range.upperBound
      } else {
        runs.append(range)
      }
    }
    var pieces: [Piece] = []
    var places: [(run: Range<Int>, place: Int)] = []
    var end = 0
    for run in runs {
      let pages = UncachedFile.pages(around: run)
      places.append((run, end + run.lowerBound - pages.lowerBound))
      for start in stride(from: pages.lowerBound, to: pages.upperBound, by: Self.pieceBytes) {
        let part = start..<min(start + Self.pieceBytes, pages.upperBound)
        pieces.append(
          Piece(
            pages: part, end: min(part.upperBound, run.upperBound),
            place: end + start - pages.lowerBound))
      }
      end += pages.count
    }
    func place(of range: Range<Int>) -> Int {
      let (run, place) = places.last { $0.run.lowerBound <= range.lowerBound } ?? (range, 0)
      return place + range.lowerBound - run.lowerBound
    }
    self.pieces = pieces
    gate = place(of: expert.gate)
    up = place(of: expert.up)
    down = place(of: expert.down)
    byteCount = end
  }

  /// Room that any expert of a model needs; 0 where there are none.
  static func slotBytes(_ inventory: WeightInventory) -> Int {
    inventory.experts.reduce(0) { largest, expert in
      let bytes = ExpertPlaces(expert).byteCount
      // Of a file that is not written yet, wherever it will begin inside its first page.
      return max(largest, bytes + (expert.gate.lowerBound == 0 ? UncachedFile.alignment : 0))
    }
  }
}
