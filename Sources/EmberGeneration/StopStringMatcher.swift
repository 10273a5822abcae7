/// Finds stop strings in text that arrives in pieces, and holds back only text that may become one.
///
/// One Knuth–Morris–Pratt automaton per string, over UTF-8: O(strings) per byte, whatever they are.
/// A stop string starts with a whole character, so text is never cut inside one.
package struct StopStringMatcher: Sendable {
  private let strings: [[UInt8]]
  /// failures[s][i]: the longest prefix of string s that ends its first i + 1 bytes, not all of them.
  private let failures: [[Int]]
  /// Bytes of each string that the text so far ends with.
  private var matched: [Int]
  private var held: [UInt8] = []

  /// Empty strings are ignored.
  package init(_ strings: [String]) {
    self.strings = strings.map { Array($0.utf8) }.filter { !$0.isEmpty }
    failures = self.strings.map { string in
      var failure = [0]
      for byte in string.dropFirst() {
        failure.append(Self.advance(failure[failure.count - 1], string, failure, byte))
      }
      return failure
    }
    matched = [Int](repeating: 0, count: self.strings.count)
  }

  /// The text that can be shown, and whether a stop string is complete: then what came before it has
  /// been returned and the matcher is done. Of several, the first to be complete counts; of those
  /// that end at one place, the longest.
  package mutating func append(_ text: String) -> (text: String, stops: Bool) {
    if strings.isEmpty { return (text, false) }
    for byte in text.utf8 {
      held.append(byte)
      var longest = 0
      for s in strings.indices {
        matched[s] = Self.advance(matched[s], strings[s], failures[s], byte)
        if matched[s] == strings[s].count { longest = max(longest, matched[s]) }
      }
      if longest > 0 {
        held.removeLast(longest)
        return (finish(), true)
      }
    }
    let kept = matched.max() ?? 0
    let shown = String(decoding: held.dropLast(kept), as: UTF8.self)
    held.removeFirst(held.count - kept)
    return (shown, false)
  }

  /// The end of the text: what was held back.
  package mutating func finish() -> String {
    let text = String(decoding: held, as: UTF8.self)
    held.removeAll()
    return text
  }

  /// The bytes of `string` matched after one more byte; `matched` is below `string.count`.
  private static func advance(
    _ matched: Int, _ string: [UInt8], _ failure: [Int], _ byte: UInt8
  ) -> Int {
    var matched = matched
    while matched > 0, string[matched] != byte { matched = failure[matched - 1] }
    return string[matched] == byte ? matched + 1 : 0
  }
}
