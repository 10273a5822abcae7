/// A text inside a template, as Python sees it: an array of Unicode scalars. Each remembers whether
/// it comes from the conversation.
///
/// `ember chat` needs to know that of the rendered text: a control token's name that somebody typed
/// is not that control token. The mark is on the scalars themselves, so it survives whatever a
/// template does with the text: slices, `trim`, `split`, `replace`, …
///
/// Swift's `String` does not serve here: it compares by canonical equivalence and takes `\r\n` for
/// one character.
struct TemplateText: Sendable {
  /// Scalars, with `contentMark` where they come from the conversation.
  var units: [UInt32]

  /// Beyond all Unicode scalars.
  private static let contentMark: UInt32 = 1 << 31

  init() { units = [] }

  init(units: some Sequence<UInt32>) { self.units = Array(units) }

  init(_ text: String, isContent: Bool = false) {
    let mark = isContent ? Self.contentMark : 0
    units = text.unicodeScalars.map { $0.value | mark }
  }

  var count: Int { units.count }
  var isEmpty: Bool { units.isEmpty }

  var string: String {
    var text = String.UnicodeScalarView()
    for index in units.indices { text.append(scalar(index)) }
    return String(text)
  }

  func scalar(_ index: Int) -> Unicode.Scalar { Self.scalar(units[index]) }

  static func scalar(_ unit: UInt32) -> Unicode.Scalar {
    // Units are made of scalars only, so the replacement never shows.
    Unicode.Scalar(unit & ~contentMark) ?? "\u{FFFD}"
  }

  static func isContent(_ unit: UInt32) -> Bool { unit & contentMark != 0 }

  /// The same mark on another scalar.
  static func unit(_ scalar: Unicode.Scalar, markedAs unit: UInt32) -> UInt32 {
    scalar.value | (unit & contentMark)
  }

  static func value(_ unit: UInt32) -> UInt32 { unit & ~contentMark }

  /// One text per scalar.
  var characters: [TemplateText] { units.map { TemplateText(units: [$0]) } }

  subscript(range: Range<Int>) -> TemplateText { TemplateText(units: units[range]) }

  static func + (left: TemplateText, right: TemplateText) -> TemplateText {
    TemplateText(units: left.units + right.units)
  }

  static func += (left: inout TemplateText, right: TemplateText) { left.units += right.units }

  /// Whether the scalars from `start` on are those of `other`.
  func matches(_ other: TemplateText, at start: Int) -> Bool {
    guard start >= 0, other.count <= count - start else { return false }
    for index in other.units.indices
    where Self.value(units[start + index]) != Self.value(other.units[index]) {
      return false
    }
    return true
  }
}

extension TemplateText: Hashable {
  static func == (left: TemplateText, right: TemplateText) -> Bool {
    left.count == right.count && left.matches(right, at: 0)
  }

  func hash(into hasher: inout Hasher) {
    for unit in units { hasher.combine(Self.value(unit)) }
  }
}

extension TemplateText: Comparable {
  /// By code points, as in Python.
  static func < (left: TemplateText, right: TemplateText) -> Bool {
    left.units.lazy.map(value).lexicographicallyPrecedes(right.units.lazy.map(value))
  }
}

extension TemplateText: ExpressibleByStringLiteral {
  init(stringLiteral value: String) { self.init(value) }
}
