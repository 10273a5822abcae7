/// Splits text as GPT-2's expression does, by hand and in one pass:
///
///     's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
///
/// The alternatives cover every character, so the words laid end to end are the text. Complexity:
/// linear; no part is looked at more than twice.
struct GPT2WordSplitter {
  private let text: UnsafeBufferPointer<UInt8>
  private var position = 0

  /// - Parameter text: valid UTF-8, which must outlive the splitter.
  init(_ text: UnsafeBufferPointer<UInt8>) { self.text = text }

  /// The next word, or nil at the end.
  @inline(__always)
  mutating func next() -> UnsafeBufferPointer<UInt8>? {
    let start = position
    if start == text.count { return nil }
    position = end(from: start)
    return UnsafeBufferPointer(rebasing: text[start..<position])
  }

  @inline(__always)
  private func end(from start: Int) -> Int {
    let lead = text[start]
    if lead == UInt8(ascii: "'"), let end = contractionEnd(start) { return end }
    if lead == UInt8(ascii: " ") && start + 1 < text.count {
      let (kind, byteCount) = character(start + 1)
      if kind != .whiteSpace { return runEnd(of: kind, from: start + 1 + byteCount) }
    }
    let (kind, byteCount) = character(start)
    if kind != .whiteSpace { return runEnd(of: kind, from: start + byteCount) }
    return whiteSpaceEnd(start)
  }

  @inline(__always)
  private func character(_ index: Int) -> (UnicodeClass, Int) {
    let (point, byteCount) = UTF8Decoding.scalar(text, index)
    return (UnicodeClass.of(point), byteCount)
  }

  @inline(__always)
  private func runEnd(of kind: UnicodeClass, from start: Int) -> Int {
    var index = start
    while index < text.count {
      let (found, byteCount) = character(index)
      if found != kind { break }
      index += byteCount
    }
    return index
  }

  /// `\s+(?!\S)`: a run that something follows leaves its last character to the next word, unless
  /// the run is that one character, which `\s+` then takes.
  private func whiteSpaceEnd(_ start: Int) -> Int {
    var index = start
    var last = start
    while index < text.count {
      let (kind, byteCount) = character(index)
      if kind != .whiteSpace { return last == start ? index : last }
      last = index
      index += byteCount
    }
    return index
  }

  private func contractionEnd(_ start: Int) -> Int? {
    guard start + 1 < text.count else { return nil }
    let first = text[start + 1]
    switch first {
    case UInt8(ascii: "s"), UInt8(ascii: "t"), UInt8(ascii: "m"), UInt8(ascii: "d"):
      return start + 2
    case UInt8(ascii: "r"), UInt8(ascii: "v"), UInt8(ascii: "l"):
      let second = first == UInt8(ascii: "l") ? UInt8(ascii: "l") : UInt8(ascii: "e")
      return start + 2 < text.count && text[start + 2] == second ? start + 3 : nil
    default:
      return nil
    }
  }
}
