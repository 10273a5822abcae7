extension Tokenizer {
  /// The ids of a conversation's text, as transformers encodes it: nothing is put before or after.
  ///
  /// The names of control tokens are those tokens where the template wrote them, and plain text where
  /// a speaker did: nobody can end a turn by typing `<|im_end|>`, nor with half of it that a template
  /// completes. Everything else is encoded as one text, so a conversation without such names has
  /// exactly the ids of its text.
  ///
  /// - Parameter isContinuation: whether it goes on from a text that was encoded before.
  public func encode(_ chat: RenderedChat, isContinuation: Bool = false) -> [Int32] {
    let (bytes, isContent) = chat.bytes
    let literal = literalRanges(bytes, isContent)
    var ids: [Int32] = []
    var done = 0
    func add(_ range: Range<Int>, isLiteral: Bool) {
      if range.isEmpty { return }
      let text = String(decoding: bytes[range], as: UTF8.self)
      let continues = isContinuation || range.lowerBound > 0
      ids += encode(text, isLiteral: isLiteral, isContinuation: continues)
    }
    for range in literal {
      add(done..<range.lowerBound, isLiteral: false)
      add(range, isLiteral: true)
      done = range.upperBound
    }
    add(done..<bytes.count, isLiteral: false)
    return ids
  }

  /// A piece of a text. Behind a newline, whose ids are removed again, so that tokenizers that put a
  /// space before a text do not put one into the middle of it.
  private func encode(_ text: String, isLiteral: Bool, isContinuation: Bool) -> [Int32] {
    func ids(_ text: String) -> [Int32] {
      encode(text, addingBeginOfSequence: false, parsingSpecialTokens: !isLiteral)
    }
    if isContinuation {
      let newline = ids("\n")
      let together = ids("\n" + text)
      if together.starts(with: newline) { return Array(together.dropFirst(newline.count)) }
    }
    return ids(text)
  }

  /// Names of control tokens that the speakers' texts have a part in, in order.
  private func literalRanges(_ bytes: [UInt8], _ isContent: [Bool]) -> [Range<Int>] {
    guard isContent.contains(true) else { return [] }
    let names = ControlTokens(self)
    // The next byte from each on that is content, so that a range is asked in one step.
    var nextContent = [Int](repeating: bytes.count, count: bytes.count + 1)
    for index in isContent.indices.reversed() {
      nextContent[index] = isContent[index] ? index : nextContent[index + 1]
    }
    var ranges: [Range<Int>] = []
    // The template's own control tokens come first; a name may only be literal up to the next.
    var position = 0
    var gap = 0
    func findLiterals(before end: Int) {
      for start in gap..<end {
        for stop in names.ends(in: bytes, from: start) where nextContent[start] < stop {
          let range = start..<min(stop, end)
          if let last = ranges.last, last.upperBound > range.lowerBound {
            ranges[ranges.count - 1] = last.lowerBound..<max(last.upperBound, range.upperBound)
          } else {
            ranges.append(range)
          }
        }
      }
    }
    while position < bytes.count {
      let ends = names.ends(in: bytes, from: position)
      if let end = ends.last(where: { nextContent[position] >= $0 }) {
        findLiterals(before: position)
        position = end
        gap = end
      } else {
        position += 1
      }
    }
    findLiterals(before: bytes.count)
    return ranges
  }

  /// The control token that the template writes right after an answer: it ends the model's turn.
  /// nil where the template writes none.
  public func endOfTurn(of template: ChatTemplate) -> Int32? {
    let messages = [
      ChatMessage(role: "user", content: "a"), ChatMessage(role: "assistant", content: "b"),
    ]
    let chat = try? template.render(
      messages, addingGenerationPrompt: false, beginOfSequence: name(of: beginOfSequence),
      endOfSequence: name(of: endOfSequence))
    guard let pieces = chat?.pieces, let answer = pieces.lastIndex(where: \.isContent),
      answer + 1 < pieces.count
    else { return nil }
    let rest = pieces[answer + 1].text.drop(while: \.isWhitespace)
    let ids = encode(String(rest), addingBeginOfSequence: false)
    return ids.first.flatMap { isSpecial($0) ? $0 : nil }
  }

  /// What a template writes for a control token; empty for none.
  public func name(of id: Int32?) -> String {
    id.map { String(decoding: bytes(of: $0), as: UTF8.self) } ?? ""
  }
}

extension RenderedChat {
  /// Its UTF-8, and of each byte whether a speaker wrote it.
  fileprivate var bytes: (bytes: [UInt8], isContent: [Bool]) {
    var bytes: [UInt8] = []
    var isContent: [Bool] = []
    bytes.reserveCapacity(text.count)
    isContent.reserveCapacity(text.count)
    for unit in text.units {
      let encoded = String(TemplateText.scalar(unit)).utf8
      bytes += encoded
      let mark = TemplateText.isContent(unit)
      for _ in encoded { isContent.append(mark) }
    }
    return (bytes, isContent)
  }
}
