/// From rules by name to a `Grammar`: repetitions become rules, what cannot end is left out, and what
/// cannot be followed is refused.
struct GrammarCompiler {
  enum Symbol: Hashable {
    case byte(UInt8)
    case characters(Int)
    case rule(Int)
  }

  /// Of all alternatives together; what repetition counts multiply must stay within it.
  static let mostElements = 200_000

  /// [rules][alternatives][symbols]
  private(set) var rules: [[[Symbol]]] = []
  private var names: [String: Int] = [:]
  private var automata: [ByteAutomaton] = []
  private var sets: [CharacterRanges: Int] = [:]
  private var size = 0
  /// Of the rule that is being compiled.
  private var line = 0

  /// - Throws: `GenerationError.invalidGrammar`
  static func compile(
    _ parsed: [GrammarParser.Rule], root: String
  ) throws(GenerationError) -> Grammar {
    var compiler = GrammarCompiler()
    for rule in parsed {
      compiler.names[rule.name] = compiler.rules.count
      compiler.rules.append([])
    }
    guard let start = compiler.names[root] else {
      throw .invalidGrammar(line: 1, problem: "there is no rule \(root)")
    }
    for (index, rule) in parsed.enumerated() {
      compiler.line = rule.line
      let alternatives = try compiler.alternatives(rule.expression)
      compiler.rules[index] = alternatives
    }
    return try compiler.finish(start, parsed)
  }

  private func finish(
    _ start: Int, _ parsed: [GrammarParser.Rule]
  ) throws(GenerationError) -> Grammar {
    let ends = GrammarAnalysis.rules(rules) { _ in true }
    if !ends[start] {
      throw .invalidGrammar(line: parsed[start].line, problem: "no text of it ever ends")
    }
    let rules = rules.map { alternatives in
      alternatives.filter { alternative in
        alternative.allSatisfy { if case .rule(let rule) = $0 { ends[rule] } else { true } }
      }
    }
    if let rule = GrammarAnalysis.leftRecursive(rules) {
      // A rule without a name stands for a repetition inside one that has.
      let named = parsed.indices.contains(rule) ? parsed[rule] : nil
      throw .invalidGrammar(
        line: named?.line ?? 1,
        problem: (named.map { "rule \($0.name)" } ?? "a repetition")
          + " begins with itself (left recursion): write the part that repeats behind it")
    }
    var elements: [Grammar.Element] = []
    let places = rules.map { alternatives in
      alternatives.map { alternative in
        let place = Int32(elements.count)
        for symbol in alternative {
          switch symbol {
          case .byte(let byte): elements.append(.byte(byte))
          case .characters(let index): elements.append(.characters(Int32(index)))
          case .rule(let index): elements.append(.rule(Int32(index)))
          }
        }
        elements.append(.end)
        return place
      }
    }
    return Grammar(elements: elements, rules: places, automata: automata, root: start)
  }

  private mutating func grow(by count: Int) throws(GenerationError) {
    size += count
    if size > Self.mostElements {
      throw .invalidGrammar(
        line: line,
        problem: "with all repetitions written out, the grammar has more than"
          + " \(Self.mostElements) parts: repeat less, or without a limit")
    }
  }

  private mutating func rule(_ alternatives: [[Symbol]]) throws(GenerationError) -> Symbol {
    try grow(by: alternatives.reduce(1) { $0 + $1.count + 1 })
    rules.append(alternatives)
    return .rule(rules.count - 1)
  }

  private mutating func alternatives(
    _ expression: GrammarExpression
  ) throws(GenerationError) -> [[Symbol]] {
    guard case .alternatives(let list) = expression else { return [try symbols(expression)] }
    var result: [[Symbol]] = []
    for part in list { result.append(try symbols(part)) }
    return result
  }

  private mutating func symbols(
    _ expression: GrammarExpression
  ) throws(GenerationError) -> [Symbol] {
    switch expression {
    case .bytes(let bytes):
      try grow(by: bytes.count)
      return bytes.map { .byte($0) }
    case .characters(let set):
      try grow(by: 1)
      if let index = sets[set] { return [.characters(index)] }
      sets[set] = automata.count
      automata.append(ByteAutomaton(set))
      return [.characters(automata.count - 1)]
    case .sequence(let list):
      var result: [Symbol] = []
      for part in list { result += try symbols(part) }
      return result
    case .alternatives:
      return [try rule(try alternatives(expression))]
    case .repeated(let inner, let least, let most):
      return try repeated(inner, least, most)
    case .rule(let name):
      try grow(by: 1)
      guard let index = names[name] else {
        throw .invalidGrammar(line: line, problem: "there is no rule \(name)")
      }
      return [.rule(index)]
    }
  }

  private mutating func repeated(
    _ expression: GrammarExpression, _ least: Int, _ most: Int?
  ) throws(GenerationError) -> [Symbol] {
    var unit = try symbols(expression)
    if unit.isEmpty || most == 0 { return [] }
    if unit.count > 1 { unit = [try rule([unit])] }
    try grow(by: least)
    var result = (0..<least).flatMap { _ in unit }
    guard let most else {
      // x* is r with r ::= x r | nothing.
      let index = rules.count
      result.append(try rule([unit + [.rule(index)], []]))
      return result
    }
    // Up to n more: r(n) ::= x r(n − 1) | nothing.
    try grow(by: 5 * (most - least))
    size -= 5 * (most - least)
    var tail: [Symbol] = []
    for _ in least..<most { tail = [try rule([unit + tail, []])] }
    return result + tail
  }
}
