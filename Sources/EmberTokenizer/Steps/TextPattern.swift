/// What is searched for in a text: literal bytes, or an expression.
enum TextPattern: Sendable {
  case literal([UInt8])
  case expression(Expression)

  init(_ bytes: [UInt8], isExpression: Bool) throws(StepFailure) {
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw StepFailure("a pattern in UTF-8")
    }
    if !isExpression {
      if bytes.isEmpty { throw StepFailure("a pattern that is not empty") }
      self = .literal(bytes)
      return
    }
    do throws(ExpressionParser.Failure) {
      self = .expression(try Expression(text))
    } catch {
      throw StepFailure("a supported expression, not \(error.reason) at \(error.position)")
    }
  }

  /// - Returns: nil if there is no match.
  func replace(_ text: UnsafeBufferPointer<UInt8>, with content: [UInt8]) -> [UInt8]? {
    var finder = PatternFinder(self, isByteAlphabet: false)
    finder.reset(text)
    var output: [UInt8]?
    var done = 0
    while let match = finder.next() {
      if output == nil {
        output = []
        output?.reserveCapacity(text.count + text.count / 2)
      }
      output?.append(contentsOf: text[done..<match.lowerBound])
      output?.append(contentsOf: content)
      done = match.upperBound
    }
    output?.append(contentsOf: text[done...])
    return output
  }
}

/// Finds a pattern's matches one after the other.
struct PatternFinder {
  private let literal: [UInt8]
  private var matcher: ExpressionMatcher?
  private var text = UnsafeBufferPointer<UInt8>(start: nil, count: 0)
  private var position = 0

  init(_ pattern: TextPattern, isByteAlphabet: Bool) {
    switch pattern {
    case .literal(let bytes):
      literal = bytes
      matcher = nil
    case .expression(let expression):
      literal = []
      matcher = ExpressionMatcher(expression, isByteAlphabet: isByteAlphabet)
    }
  }

  mutating func reset(_ text: UnsafeBufferPointer<UInt8>) {
    self.text = text
    position = 0
    matcher?.reset(text)
  }

  mutating func next() -> Range<Int>? {
    if matcher != nil { return matcher?.next() }
    let last = text.count - literal.count
    while position <= last {
      let start = position
      if text[start] == literal[0], text[start..<(start + literal.count)].elementsEqual(literal) {
        position = start + literal.count
        return start..<position
      }
      position += 1
    }
    return nil
  }
}
