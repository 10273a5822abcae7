/// What Python's `str` does, on texts with marks.
extension TemplateText {
  /// `str.isspace` of one character: Unicode's spaces and separators, and the ASCII separators.
  static func isSpace(_ unit: UInt32) -> Bool {
    switch value(unit) {
    case 0x09...0x0D, 0x1C...0x20, 0x85, 0xA0, 0x1680, 0x2000...0x200A, 0x2028, 0x2029, 0x202F,
      0x205F, 0x3000:
      true
    default: false
    }
  }

  /// What `str.splitlines` splits at.
  static func isLineBreak(_ unit: UInt32) -> Bool {
    switch value(unit) {
    case 0x0A...0x0D, 0x1C...0x1E, 0x85, 0x2028, 0x2029: true
    default: false
    }
  }

  /// `str.strip`, of white space or of the characters given.
  func stripped(
    _ characters: TemplateText? = nil, left: Bool = true, right: Bool = true
  ) -> TemplateText {
    let set = characters.map { Set($0.units.map(Self.value)) }
    func goes(_ unit: UInt32) -> Bool { set?.contains(Self.value(unit)) ?? Self.isSpace(unit) }
    var start = 0
    var end = count
    if left { while start < end, goes(units[start]) { start += 1 } }
    if right { while end > start, goes(units[end - 1]) { end -= 1 } }
    return self[start..<end]
  }

  func hasPrefix(_ other: TemplateText) -> Bool { matches(other, at: 0) }

  func hasSuffix(_ other: TemplateText) -> Bool { matches(other, at: count - other.count) }

  /// Where `other` begins first, from `start` on.
  ///
  /// Complexity: O(length of both), by Knuth, Morris and Pratt's automaton.
  func firstRange(of other: TemplateText, from start: Int = 0) -> Range<Int>? {
    if other.isEmpty { return start <= count ? start..<start : nil }
    return TextSearch(other).first(in: self, from: start)
  }

  func lastRange(of other: TemplateText) -> Range<Int>? {
    let found = TemplateText(units: units.reversed())
      .firstRange(of: TemplateText(units: other.units.reversed()))
    return found.map { count - $0.upperBound..<count - $0.lowerBound }
  }

  /// `str.count`: how often `other` occurs without overlap.
  func occurrences(of other: TemplateText) -> [Range<Int>] {
    if other.isEmpty { return (0...count).map { $0..<$0 } }
    let search = TextSearch(other)
    var found: [Range<Int>] = []
    var start = 0
    while let range = search.first(in: self, from: start) {
      found.append(range)
      start = range.upperBound
    }
    return found
  }

  func replacing(
    _ old: TemplateText, with new: TemplateText, limit: Int? = nil
  ) -> TemplateText {
    var result = TemplateText()
    var done = 0
    for range in occurrences(of: old).prefix(limit ?? .max) {
      result.units += units[done..<range.lowerBound]
      result.units += new.units
      done = range.upperBound
    }
    result.units += units[done...]
    return result
  }

  /// `str.split` at a separator, or nil: at white space, without empty parts.
  func split(_ separator: TemplateText?, limit: Int? = nil) -> [TemplateText] {
    guard let separator else { return splitAtSpaces(limit: limit ?? .max) }
    var parts: [TemplateText] = []
    var done = 0
    for range in occurrences(of: separator).prefix(limit ?? .max) {
      parts.append(self[done..<range.lowerBound])
      done = range.upperBound
    }
    parts.append(self[done..<count])
    return parts
  }

  /// The same from the end, which differs where there is a limit.
  func splitFromEnd(_ separator: TemplateText?, limit: Int?) -> [TemplateText] {
    func reversed(_ text: TemplateText) -> TemplateText {
      TemplateText(units: text.units.reversed())
    }
    return reversed(self).split(separator.map(reversed), limit: limit).reversed().map(reversed)
  }

  private func splitAtSpaces(limit: Int) -> [TemplateText] {
    var parts: [TemplateText] = []
    var index = 0
    while true {
      while index < count, Self.isSpace(units[index]) { index += 1 }
      if index == count { return parts }
      if parts.count == limit { return parts + [self[index..<count]] }
      let start = index
      while index < count, !Self.isSpace(units[index]) { index += 1 }
      parts.append(self[start..<index])
    }
  }

  func splitLines(keepingEnds: Bool = false) -> [TemplateText] {
    var lines: [TemplateText] = []
    var start = 0
    var index = 0
    while index < count {
      guard Self.isLineBreak(units[index]) else {
        index += 1
        continue
      }
      let end = index
      index +=
        Self.value(units[index]) == 0x0D && index + 1 < count
          && Self.value(units[index + 1]) == 0x0A ? 2 : 1
      lines.append(self[start..<(keepingEnds ? index : end)])
      start = index
    }
    if start < count { lines.append(self[start..<count]) }
    return lines
  }

  private func mapping(_ change: (Int, Unicode.Scalar) -> String) -> TemplateText {
    var result = TemplateText()
    for (index, unit) in units.enumerated() {
      let changed = change(index, Self.scalar(unit))
      result.units += changed.unicodeScalars.map { Self.unit($0, markedAs: unit) }
    }
    return result
  }

  var uppercased: TemplateText { mapping { $1.properties.uppercaseMapping } }

  var lowercased: TemplateText { mapping { $1.properties.lowercaseMapping } }

  /// `str.capitalize`
  var capitalized: TemplateText {
    mapping { $0 == 0 ? $1.properties.titlecaseMapping : $1.properties.lowercaseMapping }
  }

  /// `str.title`: a letter after something else is a capital.
  var titled: TemplateText {
    var isInWord = false
    return mapping { _, scalar in
      defer { isInWord = scalar.properties.isCased }
      return isInWord ? scalar.properties.lowercaseMapping : scalar.properties.titlecaseMapping
    }
  }

  /// The filter `title`, which begins words at spaces and opening brackets only.
  var titledByWords: TemplateText {
    var begins = true
    return mapping { _, scalar in
      let isBreak =
        "-({[<".unicodeScalars.contains(scalar) || Self.isSpace(scalar.value)
      defer { begins = isBreak }
      return begins ? scalar.properties.uppercaseMapping : scalar.properties.lowercaseMapping
    }
  }

  func repeated(_ times: Int) -> TemplateText {
    var result = TemplateText()
    for _ in 0..<max(0, times) { result.units += units }
    return result
  }

  func joining(_ parts: [TemplateText]) -> TemplateText {
    var result = TemplateText()
    for (index, part) in parts.enumerated() {
      if index > 0 { result.units += units }
      result.units += part.units
    }
    return result
  }

  mutating func append(_ scalar: Unicode.Scalar, markedAs unit: UInt32 = 0) {
    units.append(Self.unit(scalar, markedAs: unit))
  }
}

/// Knuth, Morris and Pratt's search, so that no text takes quadratic time.
private struct TextSearch {
  private let pattern: [UInt32]
  /// The longest prefix of the pattern that ends its first i + 1 scalars, not all of them.
  private var failures: [Int]

  init(_ pattern: TemplateText) {
    self.pattern = pattern.units.map(TemplateText.value)
    failures = [0]
    for index in self.pattern.indices.dropFirst() {
      failures.append(advance(failures[index - 1], self.pattern[index]))
    }
  }

  private func advance(_ state: Int, _ value: UInt32) -> Int {
    var state = state
    while state > 0, pattern[state] != value { state = failures[state - 1] }
    return pattern[state] == value ? state + 1 : 0
  }

  func first(in text: TemplateText, from start: Int) -> Range<Int>? {
    var state = 0
    for index in text.units.indices.dropFirst(start) {
      state = advance(state, TemplateText.value(text.units[index]))
      if state == pattern.count { return index + 1 - pattern.count..<index + 1 }
    }
    return nil
  }
}
