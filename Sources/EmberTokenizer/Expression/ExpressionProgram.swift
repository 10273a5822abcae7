/// An expression as instructions for `ExpressionMatcher`. A class, so that handing it on costs one
/// reference count.
final class ExpressionProgram: Sendable {
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

  let instructions: [Instruction]
  private let sets: [ExpressionSet]
  /// The sets' bit maps of ASCII, side by side: most characters are looked up there, and a look
  /// costs no reference count.
  private let asciiSets: [ExpressionSet.ASCII]
  /// ASCII characters that a match can begin with; all bits where any character can.
  let firstASCII: ExpressionSet.ASCII

  /// - Parameter hasLoops: false leaves out the two loops: then every choice is a `split`, and what
  ///   has failed at a place can be remembered.
  init(_ node: ExpressionNode, hasLoops: Bool) throws(ExpressionParser.Failure) {
    var emitter = ExpressionEmitter(hasLoops: hasLoops)
    try emitter.emit(node)
    try emitter.add(.succeed)
    instructions = emitter.instructions
    sets = emitter.sets
    asciiSets = sets.map(\.ascii)
    let first = node.firstSets
    firstASCII = .init { point in first?.contains { $0.contains(point) } ?? true }
  }

  /// Whether a set has a character. Complexity: as of `ExpressionSet.contains`.
  @inline(__always)
  func contains(_ set: Int32, _ point: UInt32) -> Bool {
    point < 128 ? asciiSets[Int(set)].contains(point) : sets[Int(set)].contains(point)
  }
}
