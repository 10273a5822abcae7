/// A set of Unicode scalars, as ascending ranges that do not touch.
struct CharacterRanges: Sendable, Hashable {
  private(set) var ranges: [ClosedRange<UInt32>] = []

  static let all = CharacterRanges([0...0x10FFFF])

  /// - Parameter ranges: in any order; they may overlap. Surrogates count for nothing.
  init(_ ranges: [ClosedRange<UInt32>]) {
    for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
      if let last = self.ranges.last, range.lowerBound <= last.upperBound &+ 1 {
        let end = max(last.upperBound, range.upperBound)
        self.ranges[self.ranges.count - 1] = last.lowerBound...end
      } else {
        self.ranges.append(range)
      }
    }
  }

  init(_ scalar: UInt32) { ranges = [scalar...scalar] }

  init(_ scalars: some Sequence<Unicode.Scalar>) {
    self.init(scalars.map { $0.value...$0.value })
  }

  var inverted: CharacterRanges {
    var rest: [ClosedRange<UInt32>] = []
    var next: UInt32 = 0
    for range in ranges {
      if range.lowerBound > next { rest.append(next...range.lowerBound - 1) }
      next = range.upperBound + 1
    }
    if next <= 0x10FFFF { rest.append(next...0x10FFFF) }
    return CharacterRanges(rest)
  }

  func union(_ other: CharacterRanges) -> CharacterRanges {
    CharacterRanges(ranges + other.ranges)
  }

  func subtracting(_ other: CharacterRanges) -> CharacterRanges {
    inverted.union(other).inverted
  }

  func contains(_ scalar: UInt32) -> Bool { ranges.contains { $0.contains(scalar) } }

  /// The set's part in a range, counted from its beginning.
  func slice(from start: UInt32, count: UInt32) -> CharacterRanges {
    CharacterRanges(
      ranges.compactMap { range in
        let low = max(range.lowerBound, start)
        let high = min(range.upperBound, start + count - 1)
        return low <= high ? low - start...high - start : nil
      })
  }
}
