/// An expression as instructions for `ExpressionMatcher`.
struct ExpressionProgram: Sendable {
  struct Instruction: Sendable {
    let operation: Operation
    /// What it means stands beside each operation.
    var first: Int32 = 0
    var second: Int32 = 0
    var third: Int32 = 0
  }

  enum Operation: Sendable {
    /// A character of set `first`.
    case set
    /// Tries the instruction `first`, then `second`.
    case split
    /// Goes on at `first`.
    case jump
    /// Set `first`, at least `second` times, at most `third` (-1: no limit); takes all it can, and
    /// gives back from the end.
    case greedyLoop
    /// The same, giving nothing back.
    case possessiveLoop
    /// Runs what follows, up to its `succeed`, by itself; then goes on at `first`.
    case atomic
    /// Likewise, taking nothing; `second` is 1 for "must not match".
    case lookahead
    /// Set `first` has (`second` 0) or has not (1) the character before.
    case lookbehind
    /// `ExpressionNode.Assertion` `first`.
    case assertion
    case succeed
  }

  private(set) var instructions: [Instruction] = []
  private var sets: [ExpressionSet] = []
  /// The sets' bit maps of ASCII, side by side: most characters are looked up there, and a look
  /// costs no reference count.
  private var asciiSets: [ExpressionSet.ASCII] = []
  /// ASCII characters that a match can begin with; all bits where any character can.
  private(set) var firstASCII = ExpressionSet.ASCII(low: .max, high: .max)

  /// Real expressions have below 200.
  private static let maximumLength = 20_000
  /// - Parameter hasLoops: false leaves out the two loops: then every choice is a `split`, and what
  ///   has failed at a place can be remembered.
  init(_ node: ExpressionNode, hasLoops: Bool) throws(ExpressionParser.Failure) {
    try emit(node, hasLoops)
    try add(.succeed)
    if let first = node.firstSets {
      firstASCII = .init { point in first.contains { $0.contains(point) } }
    }
  }

  /// Whether a set has a character. Complexity: as of `ExpressionSet.contains`.
  @inline(__always)
  func contains(_ set: Int32, _ point: UInt32) -> Bool {
    point < 128 ? asciiSets[Int(set)].contains(point) : sets[Int(set)].contains(point)
  }

  @discardableResult
  private mutating func add(
    _ operation: Operation, _ first: Int = 0, _ second: Int = 0, _ third: Int = 0
  ) throws(ExpressionParser.Failure) -> Int {
    if instructions.count >= Self.maximumLength {
      throw .init(
        reason: "an expression too large when its repetitions are written out", position: 0)
    }
    instructions.append(
      .init(
        operation: operation, first: Int32(first), second: Int32(second), third: Int32(third)))
    return instructions.count - 1
  }

  private mutating func add(_ set: ExpressionSet) -> Int {
    sets.append(set)
    asciiSets.append(set.ascii)
    return sets.count - 1
  }

  private mutating func emit(
    _ node: ExpressionNode, _ hasLoops: Bool
  ) throws(ExpressionParser.Failure) {
    switch node {
    case .empty: break
    case .set(let set): try add(.set, add(set))
    case .sequence(let parts): for part in parts { try emit(part, hasLoops) }
    case .assertion(let assertion): try add(.assertion, Int(assertion.rawValue))
    case .lookbehind(let set, let isNegative): try add(.lookbehind, add(set), isNegative ? 1 : 0)
    case .alternatives(let parts):
      var jumps: [Int] = []
      for part in parts.dropLast() {
        let split = try add(.split, instructions.count + 1)
        try emit(part, hasLoops)
        jumps.append(try add(.jump))
        instructions[split].second = Int32(instructions.count)
      }
      if let last = parts.last { try emit(last, hasLoops) }
      for jump in jumps { instructions[jump].first = Int32(instructions.count) }
    case .atomic(let body):
      try enclosed(.atomic, 0, body, hasLoops)
    case .lookahead(let body, let isNegative):
      try enclosed(.lookahead, isNegative ? 1 : 0, body, hasLoops)
    case .repetition(let body, let minimum, let maximum, let greed):
      try emit(body, minimum, maximum, greed, hasLoops)
    }
  }

  private mutating func enclosed(
    _ operation: Operation, _ flag: Int, _ body: ExpressionNode, _ hasLoops: Bool
  ) throws(ExpressionParser.Failure) {
    let start = try add(operation, 0, flag)
    try emit(body, hasLoops)
    try add(.succeed)
    instructions[start].first = Int32(instructions.count)
  }

  private mutating func emit(
    _ body: ExpressionNode, _ minimum: Int, _ maximum: Int?, _ greed: ExpressionNode.Greed,
    _ hasLoops: Bool
  ) throws(ExpressionParser.Failure) {
    if case .set(let set) = body, hasLoops, greed != .lazy {
      let operation = greed == .greedy ? Operation.greedyLoop : .possessiveLoop
      try add(operation, add(set), minimum, maximum ?? -1)
      return
    }
    if greed == .possessive {
      let all = ExpressionNode.repetition(body, minimum: minimum, maximum: maximum, .greedy)
      try enclosed(.atomic, 0, all, hasLoops)
      return
    }
    for _ in 0..<minimum { try emit(body, hasLoops) }
    func split(at index: Int, body: Int, end: Int) {
      let targets = greed == .lazy ? (end, body) : (body, end)
      instructions[index].first = Int32(targets.0)
      instructions[index].second = Int32(targets.1)
    }
    guard let maximum else {
      let start = try add(.split)
      try emit(body, hasLoops)
      try add(.jump, start)
      split(at: start, body: start + 1, end: instructions.count)
      return
    }
    var splits: [Int] = []
    for _ in minimum..<maximum {
      splits.append(try add(.split))
      try emit(body, hasLoops)
    }
    for index in splits { split(at: index, body: index + 1, end: instructions.count) }
  }
}
