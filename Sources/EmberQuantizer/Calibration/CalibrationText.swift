/// What identifies a text and how it was cut.
public struct CalibrationText: Sendable, Equatable {
  /// Of its UTF-8, 64 hexadecimal digits.
  public let sha256: String
  /// Tokens that went through the model, those that begin a window included.
  public let tokenCount: Int
  /// The most tokens of a window.
  public let windowLength: Int
  /// Whether windows begin with a beginning-of-sequence token.
  public let addsBeginOfSequence: Bool
}

/// The windows that a text is cut into: one after another, the last may be shorter.
struct CalibrationWindows {
  let ids: [Int32]
  /// Tokens of a window, its prefix included.
  let length: Int
  /// The beginning-of-sequence token, where windows begin with it.
  let prefix: Int32?
  let count: Int

  /// - Parameters:
  ///   - ids: of the whole text.
  ///   - length: at least 1, and at least 2 where there is a prefix.
  ///   - limit: on the tokens of all windows.
  init(ids: [Int32], length: Int, prefix: Int32?, limit: Int) {
    let extra = prefix == nil ? 0 : 1
    // Of the tokens that may be used, every window spends some on its prefix.
    let whole = limit / length
    let rest = max(0, limit % length - extra)
    let (most, overflows) = (whole * (length - extra)).addingReportingOverflow(rest)
    self.ids = Array(ids.prefix(overflows ? .max : most))
    self.length = length
    self.prefix = prefix
    count = (self.ids.count + length - extra - 1) / (length - extra)
  }

  /// Tokens of a window, its prefix included.
  subscript(index: Int) -> [Int32] {
    let size = length - (prefix == nil ? 0 : 1)
    let tokens = ids[index * size..<min(ids.count, (index + 1) * size)]
    return (prefix.map { [$0] } ?? []) + tokens
  }

  func tokenCount(of index: Int) -> Int {
    let extra = prefix == nil ? 0 : 1
    return min(length - extra, ids.count - index * (length - extra)) + extra
  }

  var tokenCount: Int { ids.count + (prefix == nil ? 0 : count) }
}
