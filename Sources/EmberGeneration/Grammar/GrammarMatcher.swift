import EmberTokenizer

/// Where a text stands in a grammar, and which tokens may come next.
///
/// The tokens that a state allows are found in one walk over the sorted vocabulary, in which tokens
/// with a common beginning share its steps, and are kept, so that a state that was there before (such
/// as the inside of a string) costs nothing but the writing of −infinity.
struct GrammarMatcher: Sendable {
  private let tokens: GrammarTokens
  private var automaton: GrammarAutomaton
  private var state: GrammarAutomaton.State
  /// One bit per id, of states that were there.
  private var masks: [GrammarAutomaton.State: [UInt64]] = [:]
  /// Whether a space at the beginning of the next token would not be printed.
  private var eatsSpace: Bool
  /// Place of each id among the sorted tokens, or −1.
  private let places: [Int32]
  /// Of the walk: the state after so many bytes.
  private var path: [GrammarAutomaton.State] = []

  private static let mostStates = 8192
  /// Bytes of masks that are kept.
  private static let maskBudget = 64 << 20

  /// - Parameter previous: the token before the text.
  /// - Throws: `GenerationError.grammarTooComplex`
  init(
    _ grammar: Grammar, _ tokens: GrammarTokens, after previous: Int32?
  ) throws(GenerationError) {
    self.tokens = tokens
    automaton = try GrammarAutomaton(grammar)
    state = automaton.start
    eatsSpace = previous != nil && previous == tokens.tokenThatEatsSpace
    var places = [Int32](repeating: -1, count: tokens.vocabularySize)
    for (place, id) in tokens.ids.enumerated() { places[Int(id)] = Int32(place) }
    self.places = places
  }

  /// Whether the text follows the grammar to its end and nothing may come after.
  var isComplete: Bool { automaton.mustEnd(state) }

  /// Forbids all tokens with which the text would not follow the grammar; those that end a text, too,
  /// where it may not end.
  ///
  /// - Parameter position: of the text, for the error.
  /// - Throws: `GenerationError.noTokenPossible`, `.grammarTooComplex`
  mutating func restrict(
    _ logits: UnsafeMutableBufferPointer<Float>, position: Int, _ options: TextGenerator.Options,
    _ tokenizer: Tokenizer
  ) throws(GenerationError) {
    let mask = try mask()
    let mayEnd = automaton.mayEnd(state)
    var isAny = false
    for id in logits.indices {
      let isAllowed = id >> 6 < mask.count && mask[id >> 6] >> UInt64(id & 63) & 1 != 0
      if !isAllowed {
        let ends = mayEnd && options.reasonToStop(at: Int32(id), tokenizer) != nil
        if ends { isAny = true } else { logits[id] = -.infinity }
      } else if !mayEnd && options.stopTokens.contains(Int32(id)) {
        logits[id] = -.infinity
      } else {
        isAny = true
      }
    }
    if !isAny { throw .noTokenPossible(position: position) }
  }

  /// The token was chosen, and does not end the text.
  mutating func accept(_ id: Int32) throws(GenerationError) {
    eatsSpace = false
    guard places.indices.contains(Int(id)), places[Int(id)] >= 0 else { return }
    for byte in tokens.bytes(at: Int(places[Int(id)])) {
      let next = try automaton.next(state, byte)
      // Not reached: the mask has forbidden it.
      if next == GrammarAutomaton.dead { return }
      state = next
    }
    if automaton.stateCount > Self.mostStates {
      state = try automaton.compact(keeping: state)
      masks = [:]
    }
  }

  private mutating func mask() throws(GenerationError) -> [UInt64] {
    if !eatsSpace, let known = masks[state] { return known }
    let mask = try walk()
    if !eatsSpace {
      if (masks.count + 1) * mask.count * 8 > Self.maskBudget { masks = [:] }
      masks[state] = mask
    }
    return mask
  }

  private mutating func walk() throws(GenerationError) -> [UInt64] {
    var mask = [UInt64](repeating: 0, count: (tokens.vocabularySize + 63) / 64)
    path = [state]
    // Bytes of the token before that the grammar went along with.
    var followed = 0
    for (index, id) in tokens.ids.enumerated() {
      let shared = tokens.shared[index]
      // It goes on with the byte at which the one before failed.
      if shared > followed { continue }
      let bytes = tokens.bytes(at: index)
      followed = shared
      path.removeLast(path.count - 1 - shared)
      if eatsSpace && bytes.first == UInt8(ascii: " ") { continue }
      var isAlive = true
      for byte in bytes.dropFirst(shared) {
        let next = try automaton.next(path[followed], byte)
        if next == GrammarAutomaton.dead {
          isAlive = false
          break
        }
        path.append(next)
        followed += 1
      }
      if isAlive { mask[Int(id) >> 6] |= 1 << UInt64(id & 63) }
    }
    return mask
  }
}
