/// A template as a tree: what the parser makes and the interpreter walks.
struct TemplateExpression: Sendable {
  let line: Int
  let kind: Kind
  /// Levels of the tree from here down.
  let depth: Int

  init(line: Int, kind: Kind) {
    self.line = line
    self.kind = kind
    depth = 1 + (kind.children.map(\.depth).max() ?? 0)
  }

  indirect enum Kind: Sendable {
    case none
    case bool(Bool)
    case integer(Int)
    case number(Double)
    case text(TemplateText)
    case name(String)
    case list([TemplateExpression])
    case tuple([TemplateExpression])
    case dictionary([(key: TemplateExpression, value: TemplateExpression)])
    case attribute(TemplateExpression, String)
    case item(TemplateExpression, TemplateExpression)
    case slice(
      TemplateExpression, start: TemplateExpression?, stop: TemplateExpression?,
      step: TemplateExpression?)
    case call(TemplateExpression, TemplateArguments)
    /// nil: what the filter's block holds.
    case filter(TemplateExpression?, String, TemplateArguments)
    case test(TemplateExpression, String, TemplateArguments)
    case not(TemplateExpression)
    case negative(TemplateExpression)
    case positive(TemplateExpression)
    case and([TemplateExpression])
    case or([TemplateExpression])
    /// From left to right, such as `+` and `-`; a list, so that long sums are not deep.
    case arithmetic(TemplateExpression, [(symbol: String, operand: TemplateExpression)])
    case concatenation([TemplateExpression])
    /// A chain: each operand is compared with the next.
    case comparison(TemplateExpression, [(symbol: String, operand: TemplateExpression)])
    case conditional(
      TemplateExpression, then: TemplateExpression, otherwise: TemplateExpression?)

    var children: [TemplateExpression] {
      switch self {
      case .none, .bool, .integer, .number, .text, .name: []
      case .list(let items), .tuple(let items), .and(let items), .or(let items),
        .concatenation(let items):
        items
      case .dictionary(let pairs): pairs.flatMap { [$0.key, $0.value] }
      case .attribute(let value, _), .not(let value), .negative(let value), .positive(let value):
        [value]
      case .item(let value, let index): [value, index]
      case .slice(let value, let start, let stop, let step):
        [value] + [start, stop, step].compactMap { $0 }
      case .call(let value, let arguments), .test(let value, _, let arguments):
        [value] + arguments.all
      case .filter(let value, _, let arguments): [value].compactMap { $0 } + arguments.all
      case .arithmetic(let first, let rest), .comparison(let first, let rest):
        [first] + rest.map(\.operand)
      case .conditional(let test, let then, let otherwise):
        [test, then] + [otherwise].compactMap { $0 }
      }
    }
  }
}

/// What a call hands over.
struct TemplateArguments: Sendable {
  var positional: [TemplateExpression] = []
  var named: [(name: String, value: TemplateExpression)] = []

  var all: [TemplateExpression] { positional + named.map(\.value) }
}

/// What is assigned to.
indirect enum TemplateTarget: Sendable {
  case name(String)
  case attribute(of: String, String)
  case tuple([TemplateTarget])
}

indirect enum TemplateStatement: Sendable {
  case data(TemplateText)
  case output(TemplateExpression)
  case set(TemplateTarget, TemplateExpression, line: Int)
  /// The text of the body, through filters.
  case setBlock(TemplateTarget, [TemplateStatement], filter: TemplateExpression?, line: Int)
  case condition([(test: TemplateExpression, body: [TemplateStatement])], else: [TemplateStatement])
  case loop(Loop)
  case macro(Macro)
  case filterBlock(TemplateExpression, [TemplateStatement])
  case with([(TemplateTarget, TemplateExpression)], [TemplateStatement], line: Int)
  /// What the model says: printed as any other text.
  case generation([TemplateStatement])
  case leaveLoop
  case nextRound

  struct Loop: Sendable {
    let target: TemplateTarget
    let sequence: TemplateExpression
    let condition: TemplateExpression?
    let body: [TemplateStatement]
    let otherwise: [TemplateStatement]
    let line: Int
  }

  struct Macro: Sendable {
    let name: String
    let parameters: [(name: String, standard: TemplateExpression?)]
    let body: [TemplateStatement]
    let line: Int
  }
}
