/// Follows bytes through a grammar: a pushdown automaton whose sets of stacks are numbered as they are
/// met, so that a byte from a state that was there before is one look-up.
///
/// A stack is a place in an alternative and the stack that is returned to at its end; stacks share
/// their lower parts and each is kept once. A state is the set of all stacks that the text so far may
/// have, each with a terminal on top, and how far the UTF-8 of that character has come.
struct GrammarAutomaton: Sendable {
  typealias State = Int32

  /// No text goes on like that.
  static let dead: State = -1
  private static let unknown: State = -2

  private let grammar: Grammar
  /// Stack 0 is the empty one: the end of the text.
  private var stacks: [Stack] = [Stack(place: -1, below: 0)]
  private var stackNumbers: [Stack: UInt32] = [:]
  /// The stacks of each state, ascending: the number of the stack, then 16 bits for the node of the
  /// character on top.
  private var states: [[UInt64]] = []
  private var stateNumbers: [[UInt64]: State] = [:]
  /// [256] of each state that was left, empty for others.
  private var transitions: [[State]] = []
  private(set) var start: State = 0

  private struct Stack: Hashable {
    let place: Int32
    let below: UInt32
  }

  /// Far more than any text needs that is not made to hurt.
  private static let mostStacks = 2_000_000
  private static let mostStates = 65_536
  private static let mostStacksOfState = 4096

  /// - Throws: `GenerationError.grammarTooComplex`
  init(_ grammar: Grammar) throws(GenerationError) {
    self.grammar = grammar
    var items: Set<UInt64> = []
    for place in grammar.rules[grammar.root] { try expand(place, below: 0, into: &items) }
    start = try number(items)
  }

  var stateCount: Int { states.count }

  /// Whether the text may end here.
  func mayEnd(_ state: State) -> Bool { states[Int(state)].first == 0 }

  /// Whether it must.
  func mustEnd(_ state: State) -> Bool { states[Int(state)] == [0] }

  /// The state after one more byte, or `dead`.
  mutating func next(_ state: State, _ byte: UInt8) throws(GenerationError) -> State {
    let index = Int(state)
    if transitions[index].isEmpty {
      transitions[index] = [State](repeating: Self.unknown, count: 256)
    }
    let known = transitions[index][Int(byte)]
    if known != Self.unknown { return known }
    var items: Set<UInt64> = []
    for item in states[index] where item != 0 {
      let stack = stacks[Int(item >> 16)]
      switch grammar.elements[Int(stack.place)] {
      case .byte(byte):
        try expand(stack.place + 1, below: stack.below, into: &items)
      case .characters(let automaton):
        let node = grammar.automata[Int(automaton)].next(
          Int16(truncatingIfNeeded: item & 0xFFFF), byte)
        if node == ByteAutomaton.accepting {
          try expand(stack.place + 1, below: stack.below, into: &items)
        } else if node != ByteAutomaton.dead {
          items.insert(item & ~0xFFFF | UInt64(node))
        }
      default:
        break
      }
    }
    let target = items.isEmpty ? Self.dead : try number(items)
    transitions[index][Int(byte)] = target
    return target
  }

  /// Forgets all states but one, which gets a new number.
  mutating func compact(keeping state: State) throws(GenerationError) -> State {
    let items = Set(states[Int(state)])
    states = []
    transitions = []
    stateNumbers = [:]
    return try number(items)
  }

  /// Adds the stacks that a place stands for: rules are entered until there is a terminal on top.
  private mutating func expand(
    _ place: Int32, below: UInt32, into items: inout Set<UInt64>
  ) throws(GenerationError) {
    var open = [Stack(place: place, below: below)]
    var seen: Set<Stack> = []
    while let stack = open.popLast() {
      if !seen.insert(stack).inserted { continue }
      if seen.count > 16 * Self.mostStacksOfState { throw Self.tooComplex }
      switch grammar.elements[Int(stack.place)] {
      case .end:
        if stack.below == 0 { items.insert(0) } else { open.append(stacks[Int(stack.below)]) }
      case .byte, .characters:
        items.insert(UInt64(try number(stack)) << 16)
      case .rule(let rule):
        // Behind the last part of an alternative there is nothing to return to.
        var below = stack.below
        let next = Stack(place: stack.place + 1, below: stack.below)
        if case .end = grammar.elements[Int(next.place)] {} else { below = try number(next) }
        for alternative in grammar.rules[Int(rule)] {
          open.append(Stack(place: alternative, below: below))
        }
      }
    }
  }

  private mutating func number(_ stack: Stack) throws(GenerationError) -> UInt32 {
    if let known = stackNumbers[stack] { return known }
    if stacks.count >= Self.mostStacks { throw Self.tooComplex }
    let number = UInt32(stacks.count)
    stacks.append(stack)
    stackNumbers[stack] = number
    return number
  }

  private mutating func number(_ items: Set<UInt64>) throws(GenerationError) -> State {
    if items.count > Self.mostStacksOfState { throw Self.tooComplex }
    let sorted = items.sorted()
    if let known = stateNumbers[sorted] { return known }
    if states.count >= Self.mostStates { throw Self.tooComplex }
    let number = State(states.count)
    states.append(sorted)
    transitions.append([])
    stateNumbers[sorted] = number
    return number
  }

  private static var tooComplex: GenerationError {
    .grammarTooComplex(states: mostStates, stacks: mostStacksOfState)
  }
}

extension Grammar {
  /// Whether a text follows the grammar from its beginning to its end.
  ///
  /// - Throws: `GenerationError.grammarTooComplex`
  public func accepts(_ text: String) throws(GenerationError) -> Bool {
    var automaton = try GrammarAutomaton(self)
    var state = automaton.start
    for byte in Array(text.utf8) {
      state = try automaton.next(state, byte)
      if state == GrammarAutomaton.dead { return false }
    }
    return automaton.mayEnd(state)
  }
}
