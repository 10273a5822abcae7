/// What kind of character the pre-tokenizers' expressions take a code point for.
enum UnicodeClass: UInt8 {
  case other = 0
  case letter = 1
  case number = 2
  case whiteSpace = 3

  /// The class of a code point below 0x110000. Complexity: O(1).
  @inline(__always)
  static func of(_ point: UInt32) -> UnicodeClass {
    UnicodeClassTable.shared[point]
  }
}

/// Two-stage table of the classes: a block number for each 256 code points, and the blocks, of which
/// most are equal (some 40 kB in all). Built once from the ranges.
struct UnicodeClassTable: Sendable {
  static let shared = UnicodeClassTable()

  private var blockOf: [UInt16] = []
  private var classes: [UInt8] = []

  private init() {
    var flat = [UInt8](repeating: 0, count: 0x110000)
    for (ranges, value) in [
      (UnicodeClassRanges.letters, UnicodeClass.letter),
      (UnicodeClassRanges.numbers, .number), (UnicodeClassRanges.whiteSpace, .whiteSpace),
    ] {
      for index in stride(from: 0, to: ranges.count, by: 2) {
        for point in ranges[index]...ranges[index + 1] { flat[Int(point)] = value.rawValue }
      }
    }
    var known: [ArraySlice<UInt8>: UInt16] = [:]
    for start in stride(from: 0, to: flat.count, by: 256) {
      let block = flat[start..<(start + 256)]
      if let number = known[block] {
        blockOf.append(number)
      } else {
        let number = UInt16(classes.count / 256)
        known[block] = number
        blockOf.append(number)
        classes += block
      }
    }
  }

  @inline(__always)
  subscript(point: UInt32) -> UnicodeClass {
    let block = Int(blockOf[Int(point >> 8)])
    return UnicodeClass(rawValue: classes[block << 8 | Int(point & 255)]) ?? .other
  }
}
