extension Tokenizer {
  /// The ids of a text.
  ///
  /// - Parameters:
  ///   - addingBeginOfSequence: nil for the tokenizer's own way (its post-processor, with whatever
  ///     it puts before and after a text), true for the beginning-of-sequence id alone, false for
  ///     no id besides the text's.
  ///   - parsingSpecialTokens: whether "<|endoftext|>" in the text becomes that control token. Say
  ///     false for text from others, which should not be able to end a turn.
  ///
  /// Complexity: O(n log n) at worst, linear for text with words in it.
  public func encode(
    _ text: String, addingBeginOfSequence: Bool? = nil, parsingSpecialTokens: Bool = true
  ) -> [Int32] {
    var text = text
    let ids = text.withUTF8 { utf8 in
      withView { view in
        var output = prefix(view, addingBeginOfSequence)
        output.reserveCapacity(utf8.count / 4 + 16)
        var encoder = TextEncoder(view, parsesSpecial: parsingSpecialTokens)
        encoder.encode(utf8, into: &output)
        if addingBeginOfSequence == nil { output += view.suffix }
        return output
      }
    }
    return ids ?? []
  }

  private func prefix(_ view: UnsafeTokenizerView, _ adding: Bool?) -> [Int32] {
    switch adding {
    case nil: view.prefix
    case .some(true): layout.beginOfSequence.map { [$0] } ?? []
    case .some(false): []
    }
  }

  /// The ids whose own bytes the model turns into that one token; the writer marks them, so that
  /// encoding such a word is one look-up.
  func wholePieces() -> [Int32] {
    withView { view in
      var encoder = BytePairEncoder(view)
      var output: [Int32] = []
      return (0..<Int32(layout.pieceCount)).filter { id in
        guard view.flags(id).contains(.lookup) else { return false }
        let piece = view.piece(id)
        // Scored BPE takes characters from the text; a piece that is not UTF-8 cannot be one.
        if layout.model == .scoredBPE && String(validating: piece, as: UTF8.self) == nil {
          return false
        }
        output.removeAll(keepingCapacity: true)
        encoder.merge(piece, into: &output)
        return output == [id]
      }
    } ?? []
  }
}

/// One text on its way through the steps.
private struct TextEncoder {
  private let view: UnsafeTokenizerView
  private let matcher: AddedTokenMatcher
  private var model: BytePairEncoder

  init(_ view: UnsafeTokenizerView, parsesSpecial: Bool) {
    self.view = view
    matcher = AddedTokenMatcher(view, parsesSpecial: parsesSpecial)
    model = BytePairEncoder(view)
  }

  mutating func encode(_ text: UnsafeBufferPointer<UInt8>, into output: inout [Int32]) {
    for outer in matcher.parts(text, normalized: false) {
      if let token = outer.token {
        output.append(token)
        continue
      }
      let rest = UnsafeBufferPointer(rebasing: text[outer.range])
      for inner in matcher.parts(rest, normalized: true) {
        if let token = inner.token {
          output.append(token)
        } else {
          normalize(UnsafeBufferPointer(rebasing: rest[inner.range]), into: &output)
        }
      }
    }
  }

  private mutating func normalize(
    _ text: UnsafeBufferPointer<UInt8>, into output: inout [Int32]
  ) {
    if text.isEmpty { return }
    let needsSpace =
      view.layout.normalizer == .leadingSpace
      || (view.layout.options.contains(.addsPrefixSpace) && text[0] != UInt8(ascii: " "))
    if needsSpace {
      let spaced = [UInt8(ascii: " ")] + text
      spaced.withUnsafeBufferPointer { split($0, into: &output) }
    } else {
      split(text, into: &output)
    }
  }

  private mutating func split(_ text: UnsafeBufferPointer<UInt8>, into output: inout [Int32]) {
    switch view.layout.preTokenizer {
    case .wholeText:
      model.encode(text, into: &output)
    case .gpt2:
      var words = GPT2WordSplitter(text)
      while let word = words.next() { model.encode(word, into: &output) }
    case .beforeSpaces:
      let space = UInt8(ascii: " ")
      var start = 0
      for index in 1..<text.count where text[index] == space && text[index - 1] != space {
        model.encode(UnsafeBufferPointer(rebasing: text[start..<index]), into: &output)
        start = index
      }
      model.encode(UnsafeBufferPointer(rebasing: text[start...]), into: &output)
    }
  }
}
