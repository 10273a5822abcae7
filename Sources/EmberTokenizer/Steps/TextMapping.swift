/// Normalizers that take a text character by character.
enum TextMapping {
  /// Each character becomes another, or (nil) goes.
  ///
  /// - Returns: nil if none changes.
  @inline(__always)
  static func filtered(
    _ text: UnsafeBufferPointer<UInt8>, isAtStart: inout Bool, _ change: (UInt32) -> UInt32?
  ) -> [UInt8]? {
    var output: [UInt8]?
    var copied = 0
    var index = 0
    while index < text.count {
      let (point, byteCount) = UTF8Decoding.scalar(text, index)
      let result = change(point)
      if result != point {
        if output == nil {
          output = []
          output?.reserveCapacity(text.count)
        }
        output?.append(contentsOf: text[copied..<index])
        if let result {
          output?.appendUTF8(result)
        } else if output?.isEmpty == true {
          isAtStart = false
        }
        copied = index + byteCount
      }
      index += byteCount
    }
    output?.append(contentsOf: text[copied...])
    return output
  }

  static func lowercased(_ text: UnsafeBufferPointer<UInt8>) -> [UInt8]? {
    let mappings = UnicodeMappings.shared
    var output: [UInt8] = []
    output.reserveCapacity(text.count + 8)
    var index = 0
    while index < text.count {
      let (point, byteCount) = UTF8Decoding.scalar(text, index)
      if point < 128 {
        let isCapital = point >= 0x41 && point <= 0x5a
        output.append(text[index] | (isCapital ? 0x20 : 0))
      } else if let lower = mappings.lowercase[point] {
        for point in lower { output.appendUTF8(point) }
      } else {
        output.append(contentsOf: text[index..<(index + byteCount)])
      }
      index += byteCount
    }
    return output
  }

  static func stripped(
    _ text: UnsafeBufferPointer<UInt8>, left: Bool, right: Bool, isAtStart: inout Bool
  ) -> [UInt8]? {
    var start = 0
    var end = text.count
    while left && start < end {
      let (point, byteCount) = UTF8Decoding.scalar(text, start)
      if !CharacterProperties.of(point).contains(.whiteSpace) { break }
      start += byteCount
    }
    while right && end > start {
      var last = end - 1
      while last > start && text[last] & 0xc0 == 0x80 { last -= 1 }
      let point = UTF8Decoding.scalar(text, last).point
      if !CharacterProperties.of(point).contains(.whiteSpace) { break }
      end = last
    }
    if start > 0 { isAtStart = false }
    return start == 0 && end == text.count ? nil : Array(text[start..<end])
  }

  /// The control characters and spaces of neural machine translation's preprocessing.
  static func nmt(_ text: UnsafeBufferPointer<UInt8>, isAtStart: inout Bool) -> [UInt8]? {
    filtered(text, isAtStart: &isAtStart) { point in
      switch point {
      case 0x01...0x08, 0x0b, 0x0e...0x1f, 0x7f, 0x8f, 0x9f: nil
      case 0x09, 0x0a, 0x0c, 0x0d, 0x1680, 0x200b...0x200f, 0x2028, 0x2029, 0x2581, 0xfeff, 0xfffd:
        0x20
      default: point
      }
    }
  }
}

/// BERT's normalizer (Devlin et al. 2019, `BasicTokenizer`), as `tokenizers` has it.
struct BertNormalizer: Sendable {
  let cleans: Bool
  let spacesChinese: Bool
  let stripsAccents: Bool
  let lowercases: Bool

  init(flags: UInt8) {
    cleans = flags & 1 != 0
    spacesChinese = flags & 2 != 0
    stripsAccents = flags & 4 != 0
    lowercases = flags & 8 != 0
  }

  func normalize(_ text: UnsafeBufferPointer<UInt8>, isAtStart: inout Bool) -> [UInt8]? {
    var current: [UInt8]?
    func with<Result>(_ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result {
      current?.withUnsafeBufferPointer(body) ?? body(text)
    }
    var starts = isAtStart
    if cleans { current = with { Self.cleaned($0, &starts) } ?? current }
    if spacesChinese { current = with(Self.spaced) ?? current }
    if stripsAccents {
      current = with { UnicodeNormalizer.normalize($0, []) } ?? current
      current =
        with {
          TextMapping.filtered($0, isAtStart: &starts) {
            $0 >= 0x300 && CharacterProperties.of($0).contains(.nonspacingMark) ? nil : $0
          }
        } ?? current
    }
    if lowercases { current = with(TextMapping.lowercased) ?? current }
    isAtStart = starts
    return current
  }

  private static func cleaned(
    _ text: UnsafeBufferPointer<UInt8>, _ isAtStart: inout Bool
  ) -> [UInt8]? {
    TextMapping.filtered(text, isAtStart: &isAtStart) { point in
      if point >= 0x20 && point < 0x7f { return point }
      if point == 0 || point == 0xfffd { return nil }
      let properties = CharacterProperties.of(point)
      if properties.contains(.control) { return nil }
      return properties.contains(.whiteSpace) ? 0x20 : point
    }
  }

  private static func spaced(_ text: UnsafeBufferPointer<UInt8>) -> [UInt8]? {
    guard text.contains(where: { $0 >= 0xe3 }) else { return nil }
    var output: [UInt8] = []
    var index = 0
    while index < text.count {
      let (point, byteCount) = UTF8Decoding.scalar(text, index)
      let isChinese = isChinese(point)
      if isChinese { output.append(0x20) }
      output.append(contentsOf: text[index..<(index + byteCount)])
      if isChinese { output.append(0x20) }
      index += byteCount
    }
    return output
  }

  private static func isChinese(_ point: UInt32) -> Bool {
    switch point {
    case 0x4e00...0x9fff, 0x3400...0x4dbf, 0x20000...0x2a6df, 0x2a700...0x2b73f, 0x2b740...0x2b81f,
      0x2b920...0x2ceaf, 0xf900...0xfaff, 0x2f800...0x2fa1f:
      true
    default: false
    }
  }
}

/// `tokenizers`' way with SentencePiece's character maps: whole graphemes of up to five bytes, of
/// which the *shortest* entry counts and stands for all of it, then characters.
enum GraphemeMapping {
  static func normalize(_ text: UnsafeBufferPointer<UInt8>, _ map: CharacterMap) -> [UInt8]? {
    var output: [UInt8] = []
    output.reserveCapacity(text.count + 8)
    var index = 0
    while index < text.count {
      let end = graphemeEnd(text, index)
      if end - index < 6, let found = map.find(text, index..<end, .shortest) {
        output += map.bytes(found.replacement)
        index = end
        continue
      }
      while index < end {
        let next = index + UTF8Decoding.byteCount(lead: text[index])
        if let found = map.find(text, index..<next, .shortest) {
          output += map.bytes(found.replacement)
        } else {
          output.append(contentsOf: text[index..<next])
        }
        index = next
      }
    }
    return output
  }

  /// The end of the grapheme as far as it matters: those of six bytes and more are taken apart, so
  /// Hangul, flags and joined emoji need no rules here.
  private static func graphemeEnd(_ text: UnsafeBufferPointer<UInt8>, _ start: Int) -> Int {
    let (first, byteCount) = UTF8Decoding.scalar(text, start)
    var end = start + byteCount
    if first == 0x0d { return end < text.count && text[end] == 0x0a ? end + 1 : end }
    if first < 0x20 || isControl(first) { return end }
    if isPrepended(first), end < text.count {
      let (second, length) = UTF8Decoding.scalar(text, end)
      if second >= 0x20 && !isControl(second) { end += length }
    }
    while end < text.count {
      let (point, length) = UTF8Decoding.scalar(text, end)
      if point < 0x300 || !CharacterProperties.of(point).contains(.extendsGrapheme) { break }
      end += length
    }
    return end
  }

  private static func isControl(_ point: UInt32) -> Bool {
    switch point {
    case 0x7f...0x9f, 0xad, 0x61c, 0x180e, 0x200b, 0x200e, 0x200f, 0x2028...0x202e, 0x2060...0x206f,
      0xfeff, 0xfff0...0xfffb, 0x13430...0x1343f, 0x1bca0...0x1bca3, 0x1d173...0x1d17a,
      0xe0000...0xe001f, 0xe0080...0xe00ff, 0xe01f0...0xe0fff:
      true
    default: false
    }
  }

  private static func isPrepended(_ point: UInt32) -> Bool {
    switch point {
    case 0x600...0x605, 0x6dd, 0x70f, 0x890, 0x891, 0x8e2: true
    default: false
    }
  }
}
