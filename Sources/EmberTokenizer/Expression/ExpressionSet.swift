/// A set of characters in an expression: `a`, `\s`, `[^\p{L}0-9]`.
///
/// ASCII, which nearly every character of most texts is, is a bit map; the others go through the
/// items. Complexity: O(1), or O(items) outside ASCII.
struct ExpressionSet: Sendable {
  enum Item: Sendable {
    case range(ClosedRange<UInt32>)
    /// One bit for each general category (`CharacterProperties.category`).
    case categories(UInt32, isNegative: Bool)
    case property(CharacterProperties, isNegative: Bool)
    case nested(ExpressionSet)
  }

  private let items: [Item]
  private let isNegative: Bool
  private let ignoresCase: Bool
  /// Its characters below 128.
  private(set) var ascii = ASCII { _ in false }

  /// A bit for each character below 128.
  struct ASCII {
    private let low: UInt64
    private let high: UInt64

    init(low: UInt64, high: UInt64) {
      self.low = low
      self.high = high
    }

    init(where contains: (UInt32) -> Bool) {
      func bits(from start: UInt32) -> UInt64 {
        (0..<64).reduce(0) { $0 | (contains(start + $1) ? 1 << UInt64($1) : 0) }
      }
      self.init(low: bits(from: 0), high: bits(from: 64))
    }

    /// - Parameter point: below 128.
    @inline(__always)
    func contains(_ point: UInt32) -> Bool {
      (point < 64 ? low : high) >> UInt64(point & 63) & 1 != 0
    }
  }

  init(_ items: [Item], isNegative: Bool = false, ignoresCase: Bool = false) {
    self.items = items
    self.isNegative = isNegative
    self.ignoresCase = ignoresCase
    ascii = ASCII { matchesSlowly($0) }
  }

  @inline(__always)
  func contains(_ point: UInt32) -> Bool {
    point < 128 ? ascii.contains(point) : matchesSlowly(point)
  }

  private func matchesSlowly(_ point: UInt32) -> Bool {
    var found = matchesItems(point)
    if !found && ignoresCase {
      found = CaseVariants.of(point).contains(where: matchesItems)
    }
    return found != isNegative
  }

  private func matchesItems(_ point: UInt32) -> Bool {
    for item in items {
      switch item {
      case .range(let range):
        if range.contains(point) { return true }
      case .categories(let mask, let negative):
        let bit = mask >> UInt32(CharacterProperties.of(point).category) & 1
        if (bit != 0) != negative { return true }
      case .property(let property, let negative):
        if CharacterProperties.of(point).contains(property) != negative { return true }
      case .nested(let set):
        if set.contains(point) { return true }
      }
    }
    return false
  }
}

/// The other characters that a character equals where case is ignored.
enum CaseVariants {
  static func of(_ point: UInt32) -> [UInt32] {
    if point < 128 {
      guard let scalar = Unicode.Scalar(point), scalar.properties.isAlphabetic else { return [] }
      var variants = [point ^ 0x20]
      // Two letters outside ASCII fold into it: the long s and the Kelvin sign.
      if point | 0x20 == 0x73 { variants.append(0x17f) }
      if point | 0x20 == 0x6b { variants.append(0x212a) }
      return variants
    }
    if point == 0x17f { return [0x73, 0x53] }
    if point == 0x212a { return [0x6b, 0x4b] }
    var variants: [UInt32] = []
    if let lower = UnicodeMappings.shared.lowercase[point], lower.count == 1 { variants += lower }
    if let scalar = Unicode.Scalar(point) {
      let upper = scalar.properties.uppercaseMapping.unicodeScalars
      if upper.count == 1, let first = upper.first, first.value != point {
        variants.append(first.value)
      }
    }
    return variants
  }
}
