/// Takes the parts of one text through the pre-tokenizers, one after the other, and hands the words
/// to a model. It holds the scratch memory of the steps, so that a word costs no allocation.
struct PreTokenizer {
  private let steps: [Prepared]
  private var finders: [PatternFinder?]
  private var spaced: [[UInt8]]

  struct Prepared: Sendable {
    let step: PreTokenizerStep
    let isByteAlphabet: Bool
    /// Of a split; not in the step, which is copied for each word.
    var pattern: TextPattern?
  }

  typealias Text = UnsafeBufferPointer<UInt8>

  init(_ steps: [Prepared]) {
    self.steps = steps
    finders = steps.map { prepared in
      prepared.pattern.map { PatternFinder($0, isByteAlphabet: prepared.isByteAlphabet) }
    }
    spaced = steps.map { _ in [] }
  }

  /// - Parameter isFirst: whether the part begins the text.
  mutating func run<Sink: WordSink>(_ text: Text, isFirst: Bool, into sink: inout Sink) {
    run(text, 0, isFirst, &sink)
  }

  private mutating func run<Sink: WordSink>(
    _ text: Text, _ index: Int, _ isFirst: Bool, _ sink: inout Sink
  ) {
    if text.isEmpty { return }
    guard index < steps.count else {
      sink.encode(word: text)
      return
    }
    // The common last steps go to the model straight.
    let isLast = index == steps.count - 1
    switch steps[index].step {
    case .gpt2Words:
      var words = GPT2WordSplitter(text)
      if isLast {
        while let word = words.next() { sink.encode(word: word) }
      } else {
        while let word = words.next() {
          run(word, index + 1, isFirst && word.baseAddress == text.baseAddress, &sink)
        }
      }
    case .llama3Words(let digits):
      var words = Llama3WordSplitter(text, digits: digits)
      if isLast {
        while let word = words.next() { sink.encode(word: word) }
      } else {
        while let word = words.next() {
          run(word, index + 1, isFirst && word.baseAddress == text.baseAddress, &sink)
        }
      }
    case .split(let behavior, let isInverted):
      splitByPattern(text, index, behavior, isInverted, isFirst, &sink)
    case .properties(let properties, let behavior):
      splitByCharacters(text, index, behavior, isFirst, &sink) { $0.contains(properties) }
    case .whitespace: splitIntoWords(text, index, isFirst, &sink)
    case .bertWords: splitLikeBert(text, index, isFirst, &sink)
    case .metaspace(let replacement, let prepends, let splits):
      replaceSpaces(text, index, replacement, prepends, splits, isFirst, &sink)
    case .prefixSpace:
      let space = UInt8(ascii: " ")
      if text[0] == space {
        run(text, index + 1, isFirst, &sink)
      } else {
        withScratch(index, [space] + text) { $0.run($1, index + 1, isFirst, &sink) }
      }
    case .beforeRuns(let character):
      splitBeforeRuns(text, index, character, isFirst, &sink)
    }
  }

  /// Keeps the bytes alive in the step's own scratch while `body` works on them.
  private mutating func withScratch(
    _ index: Int, _ bytes: [UInt8], _ body: (inout PreTokenizer, Text) -> Void
  ) {
    spaced[index] = bytes
    bytes.withUnsafeBufferPointer { body(&self, $0) }
  }

  // MARK: Splits

  private mutating func splitByPattern<Sink: WordSink>(
    _ text: Text, _ index: Int, _ behavior: SplitBehavior, _ isInverted: Bool, _ isFirst: Bool,
    _ sink: inout Sink
  ) {
    // The steps behind use the other finders while this one is in the middle of the text.
    finders[index]?.reset(text)
    var segments = Segments(behavior)
    var done = 0
    func emit(_ range: Range<Int>?, _ this: inout PreTokenizer, _ sink: inout Sink) {
      guard let range, !range.isEmpty else { return }
      this.run(Text(rebasing: text[range]), index + 1, isFirst && range.lowerBound == 0, &sink)
    }
    while let match = finders[index]?.next() {
      if done < match.lowerBound {
        emit(segments.add(done..<match.lowerBound, isMatch: isInverted), &self, &sink)
      }
      emit(segments.add(match, isMatch: !isInverted), &self, &sink)
      done = match.upperBound
    }
    if done < text.count {
      emit(segments.add(done..<text.count, isMatch: isInverted), &self, &sink)
    }
    emit(segments.finish(), &self, &sink)
  }

  private mutating func splitByCharacters<Sink: WordSink>(
    _ text: Text, _ index: Int, _ behavior: SplitBehavior, _ isFirst: Bool, _ sink: inout Sink,
    _ isMatch: (CharacterProperties) -> Bool
  ) {
    let isByteAlphabet = steps[index].isByteAlphabet
    var segments = Segments(behavior)
    var done = 0
    var at = 0
    func emit(_ range: Range<Int>?, _ this: inout PreTokenizer, _ sink: inout Sink) {
      guard let range, !range.isEmpty else { return }
      this.run(Text(rebasing: text[range]), index + 1, isFirst && range.lowerBound == 0, &sink)
    }
    while at < text.count {
      let point: UInt32
      let next: Int
      if isByteAlphabet {
        (point, next) = (ByteAlphabet.characters[Int(text[at])], at + 1)
      } else {
        let (scalar, byteCount) = UTF8Decoding.scalar(text, at)
        (point, next) = (scalar, at + byteCount)
      }
      if isMatch(CharacterProperties.of(point)) {
        if done < at { emit(segments.add(done..<at, isMatch: false), &self, &sink) }
        emit(segments.add(at..<next, isMatch: true), &self, &sink)
        done = next
      }
      at = next
    }
    if done < at { emit(segments.add(done..<at, isMatch: false), &self, &sink) }
    emit(segments.finish(), &self, &sink)
  }

  /// White space goes, punctuation stands by itself.
  private mutating func splitLikeBert<Sink: WordSink>(
    _ text: Text, _ index: Int, _ isFirst: Bool, _ sink: inout Sink
  ) {
    var start = 0
    var at = 0
    while at < text.count {
      let (point, byteCount) = UTF8Decoding.scalar(text, at)
      let properties = CharacterProperties.of(point)
      let isSpace = properties.contains(.whiteSpace)
      if isSpace || properties.contains(.punctuation) {
        if start < at {
          run(Text(rebasing: text[start..<at]), index + 1, isFirst && start == 0, &sink)
        }
        start = at + byteCount
        if !isSpace {
          run(Text(rebasing: text[at..<start]), index + 1, isFirst && at == 0, &sink)
        }
      }
      at += byteCount
    }
    if start < at { run(Text(rebasing: text[start..<at]), index + 1, isFirst && start == 0, &sink) }
  }

  /// `\w+|[^\w\s]+`
  private mutating func splitIntoWords<Sink: WordSink>(
    _ text: Text, _ index: Int, _ isFirst: Bool, _ sink: inout Sink
  ) {
    // 0 space, 1 word, 2 neither.
    var start = 0
    var kind = 0
    var at = 0
    while at <= text.count {
      var found = 0
      var next = at + 1
      if at < text.count {
        let (point, byteCount) = UTF8Decoding.scalar(text, at)
        let properties = CharacterProperties.of(point)
        found = properties.contains(.word) ? 1 : properties.contains(.whiteSpace) ? 0 : 2
        next = at + byteCount
      }
      if found != kind {
        if kind != 0 {
          run(Text(rebasing: text[start..<at]), index + 1, isFirst && start == 0, &sink)
        }
        start = at
        kind = found
      }
      at = next
    }
  }

  private mutating func splitBeforeRuns<Sink: WordSink>(
    _ text: Text, _ index: Int, _ character: [UInt8], _ isFirst: Bool, _ sink: inout Sink
  ) {
    var start = 0
    var at = 0
    var runEnd = 0
    let (first, count) = (character[0], character.count)
    while at < text.count {
      guard text[at] == first, at + count <= text.count,
        count == 1 || text[at..<(at + count)].elementsEqual(character)
      else {
        at += 1
        continue
      }
      if at > runEnd || runEnd == 0, at > start {
        run(Text(rebasing: text[start..<at]), index + 1, isFirst && start == 0, &sink)
        start = at
      }
      at += count
      runEnd = at
    }
    run(Text(rebasing: text[start...]), index + 1, isFirst && start == 0, &sink)
  }

  private mutating func replaceSpaces<Sink: WordSink>(
    _ text: Text, _ index: Int, _ replacement: [UInt8], _ prepends: PreTokenizerStep.Prepending,
    _ splits: Bool, _ isFirst: Bool, _ sink: inout Sink
  ) {
    let space = UInt8(ascii: " ")
    var bytes = spaced[index]
    spaced[index] = []
    bytes.removeAll(keepingCapacity: true)
    let begins = text[0] == space || text.starts(with: replacement)
    if !begins && (prepends == .always || (prepends == .first && isFirst)) { bytes += replacement }
    for byte in text {
      if byte == space { bytes += replacement } else { bytes.append(byte) }
    }
    bytes.withUnsafeBufferPointer { text in
      var start = 0
      if splits {
        var at = 1
        while at + replacement.count <= text.count {
          if text[at] == replacement[0],
            text[at..<(at + replacement.count)].elementsEqual(replacement)
          {
            run(Text(rebasing: text[start..<at]), index + 1, isFirst && start == 0, &sink)
            start = at
            at += replacement.count
          } else {
            at += 1
          }
        }
      }
      run(Text(rebasing: text[start...]), index + 1, isFirst && start == 0, &sink)
    }
    spaced[index] = bytes
  }
}

/// Where words go.
protocol WordSink {
  mutating func encode(word: UnsafeBufferPointer<UInt8>)
}

/// Joins matches and what lies between them as a behavior asks.
private struct Segments {
  private let behavior: SplitBehavior
  private var pending: Range<Int>?
  private var wasMatch = false

  init(_ behavior: SplitBehavior) { self.behavior = behavior }

  /// - Returns: a part that is complete.
  @inline(__always)
  mutating func add(_ range: Range<Int>, isMatch: Bool) -> Range<Int>? {
    switch behavior {
    case .isolated: return range
    case .removed: return isMatch ? nil : range
    case .contiguous:
      if let start = pending?.lowerBound, isMatch == wasMatch {
        pending = start..<range.upperBound
        return nil
      }
    case .mergedWithPrevious:
      if let start = pending?.lowerBound, isMatch, !wasMatch {
        pending = start..<range.upperBound
        wasMatch = true
        return nil
      }
    case .mergedWithNext:
      if let start = pending?.lowerBound, wasMatch, !isMatch {
        pending = nil
        wasMatch = false
        return start..<range.upperBound
      }
    }
    let complete = pending
    pending = range
    wasMatch = isMatch
    return complete
  }

  mutating func finish() -> Range<Int>? {
    let rest = pending
    pending = nil
    return rest
  }
}
