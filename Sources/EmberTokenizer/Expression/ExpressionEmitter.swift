/// Writes the instructions of an expression.
struct ExpressionEmitter {
  private(set) var instructions: [ExpressionProgram.Instruction] = []
  private(set) var sets: [ExpressionSet] = []
  private let hasLoops: Bool

  /// Real expressions have below 200.
  private static let maximumLength = 20_000

  /// - Parameter hasLoops: see `ExpressionProgram`.
  init(hasLoops: Bool) { self.hasLoops = hasLoops }

  @discardableResult
  mutating func add(
    _ operation: ExpressionProgram.Operation, _ first: Int = 0, _ second: Int = 0, _ third: Int = 0
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
    return sets.count - 1
  }

  mutating func emit(_ node: ExpressionNode) throws(ExpressionParser.Failure) {
    switch node {
    case .empty: break
    case .set(let set): try add(.set, add(set))
    case .sequence(let parts): for part in parts { try emit(part) }
    case .assertion(let assertion): try add(.assertion, Int(assertion.rawValue))
    case .lookbehind(let set, let isNegative): try add(.lookbehind, add(set), isNegative ? 1 : 0)
    case .alternatives(let parts):
      var jumps: [Int] = []
      for part in parts.dropLast() {
        let split = try add(.split, instructions.count + 1)
        try emit(part)
        jumps.append(try add(.jump))
        instructions[split].second = Int32(instructions.count)
      }
      if let last = parts.last { try emit(last) }
      for jump in jumps { instructions[jump].first = Int32(instructions.count) }
    case .atomic(let body):
      try enclosed(.atomic, 0, body)
    case .lookahead(let body, let isNegative):
      try enclosed(.lookahead, isNegative ? 1 : 0, body)
    case .repetition(let body, let minimum, let maximum, let greed):
      try emit(body, minimum, maximum, greed)
    }
  }

  private mutating func enclosed(
    _ operation: ExpressionProgram.Operation, _ flag: Int, _ body: ExpressionNode
  ) throws(ExpressionParser.Failure) {
    let start = try add(operation, 0, flag)
    try emit(body)
    try add(.succeed)
    instructions[start].first = Int32(instructions.count)
  }

  private mutating func emit(
    _ body: ExpressionNode, _ minimum: Int, _ maximum: Int?, _ greed: ExpressionNode.Greed
  ) throws(ExpressionParser.Failure) {
    if case .set(let set) = body, hasLoops, greed != .lazy {
      let operation = greed == .greedy ? ExpressionProgram.Operation.greedyLoop : .possessiveLoop
      try add(operation, add(set), minimum, maximum ?? -1)
      return
    }
    if greed == .possessive {
      let all = ExpressionNode.repetition(body, minimum: minimum, maximum: maximum, .greedy)
      try enclosed(.atomic, 0, all)
      return
    }
    for _ in 0..<minimum { try emit(body) }
    func split(at index: Int, body: Int, end: Int) {
      let targets = greed == .lazy ? (end, body) : (body, end)
      instructions[index].first = Int32(targets.0)
      instructions[index].second = Int32(targets.1)
    }
    guard let maximum else {
      let start = try add(.split)
      try emit(body)
      try add(.jump, start)
      split(at: start, body: start + 1, end: instructions.count)
      return
    }
    var splits: [Int] = []
    for _ in minimum..<maximum {
      splits.append(try add(.split))
      try emit(body)
    }
    for index in splits { split(at: index, body: index + 1, end: instructions.count) }
  }
}
