/// The four normalization forms (Unicode Standard Annex #15) over UTF-8, with the reference's tables.
///
/// Text that no step can change (below U+00C0, or below U+0300 for NFC) is found out first and left
/// as it is. Complexity: linear, apart from sorting the marks of one character, O(m log m).
enum UnicodeNormalizer {
  struct Form: OptionSet {
    let rawValue: UInt8
    static let composes = Form(rawValue: 1)
    static let isCompatible = Form(rawValue: 2)
  }

  /// Hangul's arithmetic (The Unicode Standard, 3.12).
  private enum Hangul {
    static let syllables: Range<UInt32> = 0xac00..<0xd7a4
    static let leads: Range<UInt32> = 0x1100..<0x1113
    static let vowels: Range<UInt32> = 0x1161..<0x1176
    /// Without the first, which means "no tail".
    static let tails: Range<UInt32> = 0x11a8..<0x11c3
    static let tailBase: UInt32 = 0x11a7
  }

  /// - Returns: nil if the text stays as it is.
  static func normalize(_ text: UnsafeBufferPointer<UInt8>, _ form: Form) -> [UInt8]? {
    guard let start = firstCandidate(text, form) else { return nil }
    var output = Array(text[..<start])
    output.reserveCapacity(text.count + 16)
    var work = Work(form)
    var index = start
    while index < text.count {
      let (point, byteCount) = UTF8Decoding.scalar(text, index)
      work.add(point, to: &output)
      index += byteCount
    }
    work.finish(&output)
    return output
  }

  /// The last starter before the first character that may change or combine.
  private static func firstCandidate(
    _ text: UnsafeBufferPointer<UInt8>, _ form: Form
  ) -> Int? {
    // Lead bytes: U+0300 begins with CC, U+00C0 with C3, U+00A0 with C2.
    let limit: UInt8 = form == .composes ? 0xcc : form.contains(.isCompatible) ? 0xc2 : 0xc3
    var previous = 0
    for index in 0..<text.count {
      let byte = text[index]
      if byte >= limit { return previous }
      if byte & 0xc0 != 0x80 { previous = index }
    }
    return nil
  }

  /// One starter and what follows it, until the next.
  private struct Work {
    private let form: Form
    private let mappings = UnicodeMappings.shared
    private var points: [UInt32] = []
    private var classes: [UInt8] = []
    private var scratch: [(UInt8, UInt32)] = []

    init(_ form: Form) { self.form = form }

    mutating func add(_ point: UInt32, to output: inout [UInt8]) {
      if point < 0xa0 {
        flushBeforeStarter(&output)
        points.append(point)
        classes.append(0)
        return
      }
      if Hangul.syllables.contains(point) {
        let index = point - Hangul.syllables.lowerBound
        push(Hangul.leads.lowerBound + index / 588, &output)
        push(Hangul.vowels.lowerBound + index % 588 / 28, &output)
        if index % 28 != 0 { push(Hangul.tailBase + index % 28, &output) }
        return
      }
      if form.contains(.isCompatible), let parts = mappings.compatible[point] {
        for part in parts { push(part, &output) }
      } else if let parts = mappings.canonical[point] {
        for part in parts { push(part, &output) }
      } else {
        push(point, &output)
      }
    }

    private mutating func push(_ point: UInt32, _ output: inout [UInt8]) {
      let value = point < 0x300 ? 0 : mappings.combiningClasses[point] ?? 0
      if value == 0 { flushBeforeStarter(&output) }
      points.append(point)
      classes.append(value)
    }

    /// Everything up to here is complete when a starter comes that cannot compose backwards.
    private mutating func flushBeforeStarter(_ output: inout [UInt8]) {
      if points.isEmpty { return }
      if !form.contains(.composes) {
        emit(&output)
        return
      }
      sortMarks()
      compose()
      // A last starter may still compose with the next (Hangul, and some Indic vowels).
      guard classes.last == 0 else {
        emitSorted(&output)
        return
      }
      append(points.dropLast(), &output)
      points.removeFirst(points.count - 1)
      classes.removeFirst(classes.count - 1)
    }

    mutating func finish(_ output: inout [UInt8]) {
      sortMarks()
      if form.contains(.composes) { compose() }
      append(points[...], &output)
      points.removeAll()
      classes.removeAll()
    }

    private mutating func emit(_ output: inout [UInt8]) {
      sortMarks()
      emitSorted(&output)
    }

    private mutating func emitSorted(_ output: inout [UInt8]) {
      append(points[...], &output)
      points.removeAll(keepingCapacity: true)
      classes.removeAll(keepingCapacity: true)
    }

    private func append(_ points: ArraySlice<UInt32>, _ output: inout [UInt8]) {
      for point in points { output.appendUTF8(point) }
    }

    /// Stable, so that marks of one class keep their order.
    private mutating func sortMarks() {
      var start = 0
      while start < points.count {
        if classes[start] == 0 {
          start += 1
          continue
        }
        var end = start + 1
        while end < points.count && classes[end] != 0 { end += 1 }
        if end - start > 1 {
          scratch.removeAll(keepingCapacity: true)
          for index in start..<end { scratch.append((classes[index], points[index])) }
          // Swift's sort is stable.
          scratch.sort { $0.0 < $1.0 }
          for (offset, entry) in scratch.enumerated() {
            classes[start + offset] = entry.0
            points[start + offset] = entry.1
          }
        }
        start = end
      }
    }

    /// Each character joins the last starter unless something of its class or above lies between.
    private mutating func compose() {
      guard points.count > 1 else { return }
      var kept = 0
      var starter = -1
      var lastClass: UInt8 = 0
      for index in points.indices {
        let (point, value) = (points[index], classes[index])
        if starter >= 0, kept == starter + 1 || (lastClass < value && lastClass != 0),
          let composite = composite(points[starter], point)
        {
          points[starter] = composite
          continue
        }
        if value == 0 { starter = kept }
        lastClass = value
        points[kept] = point
        classes[kept] = value
        kept += 1
      }
      points.removeLast(points.count - kept)
      classes.removeLast(classes.count - kept)
    }

    private func composite(_ first: UInt32, _ second: UInt32) -> UInt32? {
      if Hangul.leads.contains(first), Hangul.vowels.contains(second) {
        let lead = first - Hangul.leads.lowerBound
        return Hangul.syllables.lowerBound + (lead * 21 + second - Hangul.vowels.lowerBound) * 28
      }
      if Hangul.syllables.contains(first), Hangul.tails.contains(second),
        (first - Hangul.syllables.lowerBound) % 28 == 0
      {
        return first + second - Hangul.tailBase
      }
      return mappings.compositions[UInt64(first) << 32 | UInt64(second)]
    }
  }
}

extension [UInt8] {
  /// Appends a code point that is a Unicode scalar.
  mutating func appendUTF8(_ point: UInt32) {
    switch point {
    case ..<0x80:
      append(UInt8(truncatingIfNeeded: point))
    case ..<0x800:
      append(UInt8(truncatingIfNeeded: 0xc0 | point >> 6))
      append(UInt8(truncatingIfNeeded: 0x80 | point & 0x3f))
    case ..<0x10000:
      append(UInt8(truncatingIfNeeded: 0xe0 | point >> 12))
      append(UInt8(truncatingIfNeeded: 0x80 | point >> 6 & 0x3f))
      append(UInt8(truncatingIfNeeded: 0x80 | point & 0x3f))
    default:
      append(UInt8(truncatingIfNeeded: 0xf0 | point >> 18))
      append(UInt8(truncatingIfNeeded: 0x80 | point >> 12 & 0x3f))
      append(UInt8(truncatingIfNeeded: 0x80 | point >> 6 & 0x3f))
      append(UInt8(truncatingIfNeeded: 0x80 | point & 0x3f))
    }
  }
}
