/// Splits text as Llama 3's and Qwen2's expressions do, by hand and in one pass:
///
///     (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*
///     |\s*[\r\n]+|\s+(?!\S)|\s+
///
/// with `\p{N}{1,3}` for Llama 3 and `\p{N}` for Qwen2. The alternatives cover every character.
/// Complexity: linear; no part is looked at more than twice.
struct Llama3WordSplitter {
  private let text: UnsafeBufferPointer<UInt8>
  private let digits: Int
  private var position = 0

  /// - Parameter text: valid UTF-8, which must outlive the splitter.
  init(_ text: UnsafeBufferPointer<UInt8>, digits: Int) {
    self.text = text
    self.digits = digits
  }

  /// The next word, or nil at the end.
  @inline(__always)
  mutating func next() -> UnsafeBufferPointer<UInt8>? {
    let start = position
    if start == text.count { return nil }
    position = end(from: start)
    return UnsafeBufferPointer(rebasing: text[start..<position])
  }

  @inline(__always)
  private func character(_ index: Int) -> (UnicodeClass, Int) {
    let (point, byteCount) = UTF8Decoding.scalar(text, index)
    return (UnicodeClass.of(point), byteCount)
  }

  @inline(__always)
  private func isLineEnd(_ index: Int) -> Bool {
    text[index] == UInt8(ascii: "\n") || text[index] == UInt8(ascii: "\r")
  }

  @inline(__always)
  private func end(from start: Int) -> Int {
    let lead = text[start]
    if lead == UInt8(ascii: "'"), let end = contractionEnd(start) { return end }
    let (kind, byteCount) = character(start)
    let behind = start + byteCount
    if kind == .letter { return runEnd(of: .letter, from: behind) }
    if kind == .number {
      var index = behind
      var count = 1
      while count < digits && index < text.count {
        let (found, length) = character(index)
        if found != .number { break }
        index += length
        count += 1
      }
      return index
    }
    if !isLineEnd(start), behind < text.count {
      let (second, length) = character(behind)
      if second == .letter { return runEnd(of: .letter, from: behind + length) }
      if lead == UInt8(ascii: " ") && second == .other { return symbolsEnd(from: behind + length) }
    }
    if kind == .other { return symbolsEnd(from: behind) }
    return whiteSpaceEnd(start)
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

  @inline(__always)
  private func symbolsEnd(from start: Int) -> Int {
    var index = runEnd(of: .other, from: start)
    while index < text.count && isLineEnd(index) { index += 1 }
    return index
  }

  /// A run with line ends in it is taken up to the last of them. Of another run that something
  /// follows, the last character is left to the next word, unless it is the only one.
  private func whiteSpaceEnd(_ start: Int) -> Int {
    var index = start
    var last = start
    var lineEnd = -1
    while index < text.count {
      let (kind, byteCount) = character(index)
      if kind != .whiteSpace { break }
      if isLineEnd(index) { lineEnd = index + 1 }
      last = index
      index += byteCount
    }
    if lineEnd >= 0 { return lineEnd }
    return index == text.count || last == start ? index : last
  }

  private func contractionEnd(_ start: Int) -> Int? {
    guard start + 1 < text.count else { return nil }
    // Small letters differ from capitals in this bit.
    let first = text[start + 1] | 0x20
    let second = start + 2 < text.count ? text[start + 2] | 0x20 : 0
    switch first {
    case UInt8(ascii: "s"), UInt8(ascii: "t"), UInt8(ascii: "m"), UInt8(ascii: "d"):
      return start + 2
    case UInt8(ascii: "r"), UInt8(ascii: "v"):
      return second == UInt8(ascii: "e") ? start + 3 : nil
    case UInt8(ascii: "l"):
      return second == UInt8(ascii: "l") ? start + 3 : nil
    case 0xe5 where text[start + 1] == 0xc5 && start + 2 < text.count && text[start + 2] == 0xbf:
      // The long s, which is an s where case is ignored.
      return start + 3
    default:
      return nil
    }
  }
}
