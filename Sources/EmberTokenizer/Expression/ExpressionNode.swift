/// A parsed expression.
indirect enum ExpressionNode {
  case empty
  case set(ExpressionSet)
  case sequence([ExpressionNode])
  case alternatives([ExpressionNode])
  /// `maximum` nil: no limit.
  case repetition(ExpressionNode, minimum: Int, maximum: Int?, Greed)
  case atomic(ExpressionNode)
  case lookahead(ExpressionNode, isNegative: Bool)
  case lookbehind(ExpressionSet, isNegative: Bool)
  case assertion(Assertion)

  enum Greed { case greedy, lazy, possessive }

  /// Ruby's meaning, which is Oniguruma's default: `^` and `$` are about lines.
  enum Assertion: Int32 {
    case lineStart, lineEnd, textStart, textEnd, textEndOrFinalNewline
    case wordBoundary, notWordBoundary
  }

  /// Whether it can match without taking a character.
  var isNullable: Bool {
    switch self {
    case .empty, .lookahead, .lookbehind, .assertion: true
    case .set: false
    case .sequence(let parts): parts.allSatisfy(\.isNullable)
    case .alternatives(let parts): parts.contains(where: \.isNullable)
    case .repetition(let body, let minimum, _, _): minimum == 0 || body.isNullable
    case .atomic(let body): body.isNullable
    }
  }

  /// The sets of which one has the first character; nil if any character may be first.
  var firstSets: [ExpressionSet]? {
    switch self {
    case .set(let set): return [set]
    case .atomic(let body): return body.firstSets
    case .alternatives(let parts):
      var sets: [ExpressionSet] = []
      for part in parts {
        guard let first = part.firstSets else { return nil }
        sets += first
      }
      return sets
    case .repetition(let body, let minimum, _, _):
      return minimum > 0 ? body.firstSets : nil
    case .sequence(let parts):
      var sets: [ExpressionSet] = []
      for part in parts {
        if case .repetition(let body, 0, _, _) = part {
          guard let first = body.firstSets else { return nil }
          sets += first
          continue
        }
        guard let first = part.firstSets else { return nil }
        return sets + first
      }
      return nil
    case .empty, .lookahead, .lookbehind, .assertion: return nil
    }
  }
}
