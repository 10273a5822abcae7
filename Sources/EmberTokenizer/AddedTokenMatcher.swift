/// Finds added tokens (`<|endoftext|>`, …) in a text before the model sees it: the leftmost first,
/// of those that begin there the longest, as Hugging Face's AddedVocabulary does.
struct AddedTokenMatcher {
  private let pipeline: TokenizerPipeline
  private let parsesSpecial: Bool

  init(_ pipeline: TokenizerPipeline, parsesSpecial: Bool) {
    self.pipeline = pipeline
    self.parsesSpecial = parsesSpecial
  }

  /// A stretch of text: an added token, or (nil) something for the model.
  typealias Part = (token: Int32?, range: Range<Int>)

  /// - Parameter normalized: search for the normalized tokens, or for the raw ones.
  func parts(_ text: UnsafeBufferPointer<UInt8>, normalized: Bool) -> [Part] {
    let raw = pipeline.rawAddedCount
    let group = normalized ? raw..<pipeline.addedTokens.count : 0..<raw
    if group.isEmpty { return [(nil, text.indices)] }
    var parts: [Part] = []
    var done = 0
    var position = 0
    let mask: UInt8 = normalized ? 2 : 1
    while position < text.count {
      guard pipeline.addedFirstBytes[Int(text[position])] & mask != 0,
        let match = longest(text, position, group)
      else {
        position += 1
        continue
      }
      var start = position
      var end = match.end
      position = end
      if match.flags.contains(.special) && !parsesSpecial { continue }
      if match.flags.contains(.singleWord)
        && (isWord(before: start, in: text) || isWord(at: end, in: text))
      {
        continue
      }
      if match.flags.contains(.stripsLeft) { start = max(whiteSpaceStart(text, start), done) }
      if match.flags.contains(.stripsRight) { end = whiteSpaceEnd(text, end) }
      if done < start { parts.append((nil, done..<start)) }
      parts.append((match.id, start..<max(start, end)))
      done = end
    }
    if done < text.count { parts.append((nil, done..<text.count)) }
    return parts
  }

  /// Narrows the sorted group byte by byte. Complexity: O(length · log group).
  private func longest(
    _ text: UnsafeBufferPointer<UInt8>, _ start: Int, _ group: Range<Int>
  ) -> (id: Int32, flags: AddedTokenFlags, end: Int)? {
    var candidates = group
    var best: (id: Int32, flags: AddedTokenFlags, end: Int)?
    var depth = 0
    while start + depth < text.count {
      let wanted = Int(text[start + depth])
      let lower = partition(candidates) { byte($0, depth) < wanted }
      let upper = partition(lower..<candidates.upperBound) { byte($0, depth) <= wanted }
      if lower == upper { break }
      candidates = lower..<upper
      depth += 1
      let token = pipeline.addedTokens[lower]
      if token.bytes.count == depth { best = (token.id, token.flags, start + depth) }
    }
    return best
  }

  /// The byte of an added token at `depth`; before all others if it has none.
  private func byte(_ index: Int, _ depth: Int) -> Int {
    let piece = pipeline.addedTokens[index].bytes
    return depth < piece.count ? Int(piece[depth]) : -1
  }

  private func partition(_ range: Range<Int>, _ isBefore: (Int) -> Bool) -> Int {
    var low = range.lowerBound
    var high = range.upperBound
    while low < high {
      let middle = low + (high - low) / 2
      if isBefore(middle) { low = middle + 1 } else { high = middle }
    }
    return low
  }

  private func previousStart(_ text: UnsafeBufferPointer<UInt8>, _ index: Int) -> Int {
    var start = index - 1
    while start > 0 && text[start] & 0xc0 == 0x80 { start -= 1 }
    return start
  }

  private func whiteSpaceStart(_ text: UnsafeBufferPointer<UInt8>, _ index: Int) -> Int {
    var start = index
    while start > 0 {
      let previous = previousStart(text, start)
      let point = UTF8Decoding.scalar(text, previous).point
      if !CharacterProperties.of(point).contains(.whiteSpace) { break }
      start = previous
    }
    return start
  }

  private func whiteSpaceEnd(_ text: UnsafeBufferPointer<UInt8>, _ index: Int) -> Int {
    var end = index
    while end < text.count {
      let (point, byteCount) = UTF8Decoding.scalar(text, end)
      if !CharacterProperties.of(point).contains(.whiteSpace) { break }
      end += byteCount
    }
    return end
  }

  private func isWord(before index: Int, in text: UnsafeBufferPointer<UInt8>) -> Bool {
    index > 0 && isWord(at: previousStart(text, index), in: text)
  }

  /// `\w` of Rust's regex (Unicode TR 18, annex C), which decides about `single_word`.
  private func isWord(at index: Int, in text: UnsafeBufferPointer<UInt8>) -> Bool {
    guard index < text.count else { return false }
    return CharacterProperties.of(UTF8Decoding.scalar(text, index).point).contains(.word)
  }
}
