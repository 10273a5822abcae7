/// A compiled expression of a tokenizer file.
struct Expression: Sendable {
  let source: String
  let fast: ExpressionProgram
  let safe: ExpressionProgram

  init(_ source: String) throws(ExpressionParser.Failure) {
    self.source = source
    let node = try ExpressionParser.parse(source)
    fast = try ExpressionProgram(node, hasLoops: true)
    safe = try ExpressionProgram(node, hasLoops: false)
  }
}
