/// One window of a text.
package struct EvaluationWindow: Equatable, Sendable {
  /// The first of its tokens in the text.
  package let start: Int
  /// How many tokens of the text it holds.
  package let tokenCount: Int
  /// The first position that is scored; the beginning-of-sequence token, if any, is position 0.
  package let firstScored: Int
}

/// The windows of a protocol over a text of a certain length, each computed when asked for.
package struct WindowPlan: Sendable {
  package let count: Int
  /// 1 where a beginning-of-sequence token stands at position 0.
  package let prefix: Int
  package let stride: Int
  private let tokensPerWindow: Int
  private let firstScored: Int

  /// - Throws: `EvaluationError.invalidProtocol`, `.textTooShort`
  package init(
    _ windows: PerplexityProtocol, tokens: Int
  ) throws(EvaluationError) {
    prefix = windows.addsBeginOfSequence ? 1 : 0
    let context = windows.context
    // Two scored tokens at least, or there is no standard error.
    guard context >= 3 else {
      throw .invalidProtocol(field: "context", expected: "3 or more", found: "\(context)")
    }
    guard (1...context).contains(windows.stride) else {
      throw .invalidProtocol(
        field: "stride", expected: "1 to the context, \(context)", found: "\(windows.stride)")
    }
    guard (0...(context - 2)).contains(windows.firstScored) else {
      throw .invalidProtocol(
        field: "first scored position", expected: "0 to \(context - 2)",
        found: "\(windows.firstScored)")
    }
    if let maximum = windows.maximumWindows, maximum < 1 {
      throw .invalidProtocol(field: "windows", expected: "1 or more", found: "\(maximum)")
    }
    firstScored = max(1, windows.firstScored)
    let minimum = firstScored + 2 - prefix
    guard tokens >= minimum else { throw .textTooShort(tokens: tokens, minimum: minimum) }
    tokensPerWindow = min(tokens, context - prefix)
    stride = min(windows.stride, context - prefix)
    let whole = (tokens - tokensPerWindow) / stride + 1
    count = min(whole, windows.maximumWindows ?? whole)
  }

  package subscript(index: Int) -> EvaluationWindow {
    // The window before ended `tokensPerWindow − stride` tokens behind this one's start.
    let reached = index == 0 ? 0 : prefix + tokensPerWindow - stride
    return EvaluationWindow(
      start: index * stride, tokenCount: tokensPerWindow, firstScored: max(firstScored, reached))
  }

  /// Tokens scored in all windows.
  package var tokensScored: Int {
    let length = prefix + tokensPerWindow
    return length - self[0].firstScored + (count - 1) * (length - self[1].firstScored)
  }
}
