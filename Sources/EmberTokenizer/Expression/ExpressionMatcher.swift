/// Finds an expression's matches in a text, leftmost first, with the preferences of a backtracking
/// engine (Perl's, Oniguruma's).
///
/// Two ways with the same results. The fast one backtracks and remembers nothing. When its work
/// grows out of proportion to the text, the safe one takes over for the rest of that text: it
/// remembers each instruction and place that failed, so that no more than instructions × characters
/// are tried. A lookahead sees at most `lookaheadLimit` bytes there. Together: linear time.
struct ExpressionMatcher {
  private let expression: Expression
  /// Whether each byte is a character of GPT-2's byte alphabet, instead of UTF-8.
  private let isByteAlphabet: Bool
  private var text = UnsafeBufferPointer<UInt8>(start: nil, count: 0)
  private var position = 0
  private var lastEnd = -1
  private var stack: [Frame] = []
  private var isSafe = false
  private var work = 0
  private var failed: Set<UInt64> = []

  private struct Frame {
    /// -1: the instruction and place in `position`, `low` have failed.
    var instruction: Int32
    var position: Int
    /// Greedy loops: where the shortest repetition ends.
    var low: Int
  }

  private static let lookaheadLimit = 4096

  init(_ expression: Expression, isByteAlphabet: Bool) {
    self.expression = expression
    self.isByteAlphabet = isByteAlphabet
  }

  /// Begins with another text, which must outlive the search.
  mutating func reset(_ text: UnsafeBufferPointer<UInt8>) {
    self.text = text
    position = 0
    lastEnd = -1
    work = 0
    isSafe = false
    if !failed.isEmpty { failed.removeAll() }
  }

  /// The next match, perhaps empty; an empty one never stands right behind another match.
  mutating func next() -> Range<Int>? {
    while position <= text.count {
      guard let found = search() else {
        position = text.count + 1
        return nil
      }
      if found.isEmpty && found.lowerBound == lastEnd {
        position = found.upperBound < text.count ? after(found.upperBound) : text.count + 1
        continue
      }
      position = found.upperBound
      lastEnd = found.upperBound
      return found
    }
    return nil
  }

  private mutating func search() -> Range<Int>? {
    let first = expression.fast.firstASCII
    var start = position
    while start <= text.count {
      if start < text.count, text[start] < 0x80, !isByteAlphabet {
        if !first.contains(UInt32(text[start])) {
          start += 1
          continue
        }
      }
      let end = match(from: start)
      if end >= 0 { return start..<end }
      if start == text.count { return nil }
      start = after(start)
    }
    return nil
  }

  private mutating func match(from start: Int) -> Int {
    if !isSafe {
      let end = run(expression.fast, 0, start, limit: text.count)
      if end != Self.gaveUp { return end }
      isSafe = true
    }
    return run(expression.safe, 0, start, limit: text.count)
  }

  // MARK: Characters

  @inline(__always)
  private func after(_ index: Int) -> Int {
    isByteAlphabet ? index + 1 : index + UTF8Decoding.byteCount(lead: text[index])
  }

  @inline(__always)
  private func before(_ index: Int) -> Int {
    var start = index - 1
    if !isByteAlphabet {
      while start > 0 && text[start] & 0xc0 == 0x80 { start -= 1 }
    }
    return start
  }

  @inline(__always)
  private func character(_ index: Int) -> (point: UInt32, end: Int) {
    if isByteAlphabet { return (ByteAlphabet.characters[Int(text[index])], index + 1) }
    let (point, byteCount) = UTF8Decoding.scalar(text, index)
    return (point, index + byteCount)
  }

  // MARK: The machine

  private static let gaveUp = -2

  /// - Returns: the end of the match, -1 for none, `gaveUp` where the fast way takes too long.
  private mutating func run(
    _ program: ExpressionProgram, _ start: Int, _ from: Int, limit: Int
  ) -> Int {
    let bottom = stack.count
    var instruction = start
    var at = from
    while true {
      var isFailure = false
      let current = program.instructions[instruction]
      switch current.operation {
      case .succeed:
        forget(bottom)
        return at
      case .set:
        if at < limit {
          let (point, end) = character(at)
          if program.contains(current.first, point) {
            at = end
            instruction += 1
          } else {
            isFailure = true
          }
        } else {
          isFailure = true
        }
      case .jump:
        instruction = Int(current.first)
      case .split:
        if isSafe {
          let key = UInt64(instruction) << 40 | UInt64(at)
          if failed.contains(key) {
            isFailure = true
            break
          }
          stack.append(Frame(instruction: -1, position: instruction, low: at))
        }
        stack.append(Frame(instruction: current.second, position: at, low: -1))
        instruction = Int(current.first)
      case .greedyLoop, .possessiveLoop:
        let most = current.third < 0 ? Int.max : Int(current.third)
        var count = 0
        var low = current.second == 0 ? at : -1
        var end = at
        while count < most && end < limit {
          let (point, next) = character(end)
          if !program.contains(current.first, point) { break }
          end = next
          count += 1
          if count == Int(current.second) { low = end }
        }
        work += count
        if low < 0 {
          isFailure = true
          break
        }
        // Nothing behind it can fail, so nothing need be given back.
        let isLast = program.instructions[instruction + 1].operation == .succeed
        if current.operation == .greedyLoop && end > low && !isLast {
          stack.append(Frame(instruction: Int32(instruction + 1), position: end, low: low))
        }
        at = end
        instruction += 1
      case .atomic:
        let end = run(program, instruction + 1, at, limit: limit)
        if end == Self.gaveUp { return abandon(bottom) }
        if end < 0 {
          isFailure = true
        } else {
          at = end
          instruction = Int(current.first)
        }
      case .lookahead:
        let end = run(
          program, instruction + 1, at, limit: min(limit, at + Self.lookaheadLimit))
        if end == Self.gaveUp { return abandon(bottom) }
        if (end >= 0) == (current.second == 0) {
          instruction = Int(current.first)
        } else {
          isFailure = true
        }
      case .lookbehind:
        let isThere =
          at > 0 && program.contains(current.first, character(before(at)).point)
        if isThere == (current.second == 0) { instruction += 1 } else { isFailure = true }
      case .assertion:
        if holds(current.first, at) { instruction += 1 } else { isFailure = true }
      }
      if !isFailure { continue }
      work += 1
      if !isSafe && work > 65_536 + 64 * at { return abandon(bottom) }
      // Back to the last choice.
      var isResumed = false
      while stack.count > bottom, let frame = stack.popLast() {
        if frame.instruction < 0 {
          failed.insert(UInt64(frame.position) << 40 | UInt64(frame.low))
          continue
        }
        instruction = Int(frame.instruction)
        if frame.low >= 0 {
          at = before(frame.position)
          if at > frame.low {
            stack.append(Frame(instruction: frame.instruction, position: at, low: frame.low))
          }
        } else {
          at = frame.position
        }
        isResumed = true
        break
      }
      if !isResumed { return -1 }
    }
  }

  private mutating func abandon(_ bottom: Int) -> Int {
    forget(bottom)
    return Self.gaveUp
  }

  /// Drops the choices above: rarely more than one.
  @inline(__always)
  private mutating func forget(_ bottom: Int) { while stack.count > bottom { stack.removeLast() } }

  private func holds(_ assertion: Int32, _ at: Int) -> Bool {
    let newline: UInt8 = 10
    switch ExpressionNode.Assertion(rawValue: assertion) {
    case .lineStart: return at == 0 || (text[at - 1] == newline && at < text.count)
    case .lineEnd: return at == text.count || text[at] == newline
    case .textStart: return at == 0
    case .textEnd: return at == text.count
    case .textEndOrFinalNewline:
      return at == text.count || (at == text.count - 1 && text[at] == newline)
    case .wordBoundary: return isWord(before: at) != isWord(at: at)
    case .notWordBoundary: return isWord(before: at) == isWord(at: at)
    case nil: return false
    }
  }

  private func isWord(at index: Int) -> Bool {
    index < text.count
      && CharacterProperties.of(character(index).point).contains(.expressionWord)
  }

  private func isWord(before index: Int) -> Bool { index > 0 && isWord(at: before(index)) }
}
