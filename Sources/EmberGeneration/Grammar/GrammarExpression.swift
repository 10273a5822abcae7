/// What a rule of a grammar may be, before it is compiled.
indirect enum GrammarExpression: Sendable {
  case bytes([UInt8])
  /// One character of a set.
  case characters(CharacterRanges)
  case sequence([GrammarExpression])
  case alternatives([GrammarExpression])
  /// - Parameter most: nil for any number.
  case repeated(GrammarExpression, least: Int, most: Int?)
  case rule(String)

  static func text(_ text: String) -> GrammarExpression { .bytes(Array(text.utf8)) }

  static let nothing = GrammarExpression.sequence([])

  static func optional(_ expression: GrammarExpression) -> GrammarExpression {
    .alternatives([expression, nothing])
  }
}
