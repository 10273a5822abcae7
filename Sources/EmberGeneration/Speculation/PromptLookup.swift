/// Guesses how a text goes on from what followed its latest words before.
///
/// ```swift
/// var lookup = PromptLookup(capacity: 2048)
/// for id in [5, 6, 7, 8, 5, 6] as [Int32] { lookup.append(id) }
/// lookup.next   // 7
/// ```
///
/// The guess continues the longest of: the run of tokens that is being followed already, and the
/// latest occurrence of the last 8, 5, 3 or 2 tokens (Saxena 2023, *Prompt Lookup Decoding*, with an
/// index in place of the search). A run that reaches the end of the text goes on with its own
/// beginning, so a text that repeats itself is guessed to any length.
///
/// One token costs O(1). The index is a table of fixed size, at most 256 kB, in which later tokens
/// may overwrite earlier ones: such a run is then not found, never found wrongly.
package struct PromptLookup: Sendable {
  /// An earlier place in the text that ended like the text does now.
  package struct Match: Sendable, Equatable {
    /// The index behind the place: that of the token which followed.
    package var source: Int
    /// How many tokens before it are those at the end of the text; the index finds no more than 64,
    /// a run that is followed grows on.
    package var length: Int

    package init(source: Int, length: Int) {
      self.source = source
      self.length = length
    }
  }

  /// How the text ended before, if it did.
  package private(set) var match: Match?
  private var tokens: [Int32] = []
  /// Where a hash of the last tokens of each length was seen last: the index behind them, or 0.
  private var table: [Int32]
  private let mask: Int

  /// Increasing, so that the hash of one continues that of the one before.
  private static let lengths = [2, 3, 5, 8]
  private static let longestComparison = 64

  /// - Parameter capacity: tokens of the text, as far as that is known; longer ones are fine.
  package init(capacity: Int) {
    var size = 1024
    while size < 65_536, size < 4 * capacity { size *= 2 }
    table = [Int32](repeating: 0, count: size)
    mask = size - 1
    tokens.reserveCapacity(max(0, capacity))
  }

  /// The token that the text is guessed to go on with.
  package var next: Int32? { match.map { tokens[$0.source] } }

  /// Adds the next token of the text.
  package mutating func append(_ token: Int32) {
    var followed: Match?
    if let match, tokens[match.source] == token {
      followed = Match(source: match.source + 1, length: match.length + 1)
    }
    tokens.append(token)
    let found = indexed()
    if let found, found.length >= (followed?.length ?? 0) {
      match = found
    } else {
      match = followed
    }
  }

  /// Appends the guessed continuation to `ids`: `count` tokens, or none.
  package func guess(_ count: Int, into ids: inout [Int32]) {
    guard let match else { return }
    let period = tokens.count - match.source
    var place = 0
    for _ in 0..<count {
      ids.append(tokens[match.source + place])
      place = place + 1 == period ? 0 : place + 1
    }
  }

  /// The latest occurrence of the longest run that is in the index, before the end is added to it.
  private mutating func indexed() -> Match? {
    let end = tokens.count
    // Positions are stored in 32 bits.
    if end >= Int(Int32.max) { return nil }
    var hash: UInt64 = 0
    var hashed = 0
    var best: Match?
    for length in Self.lengths where length <= end {
      while hashed < length {
        hashed += 1
        hash = (hash ^ UInt64(UInt32(bitPattern: tokens[end - hashed]))) &* 0x9E37_79B9_7F4A_7C15
        hash ^= hash >> 29
      }
      let slot = Int(truncatingIfNeeded: (hash &+ UInt64(length)) >> 7) & mask
      let source = Int(table[slot])
      table[slot] = Int32(end)
      // Empty, or the end itself under the hash of another length.
      if source == 0 || source == end { continue }
      let common = commonLength(source, end)
      if common >= length { best = Match(source: source, length: common) }
    }
    return best
  }

  /// How many tokens before two places are the same.
  private func commonLength(_ source: Int, _ end: Int) -> Int {
    let limit = min(source, Self.longestComparison)
    var length = 0
    while length < limit, tokens[source - 1 - length] == tokens[end - 1 - length] { length += 1 }
    return length
  }
}
