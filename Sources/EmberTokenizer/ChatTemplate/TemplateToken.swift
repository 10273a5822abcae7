/// A piece of a template's source.
struct TemplateToken: Equatable {
  enum Kind: Equatable {
    /// Text between tags, as it is printed.
    case data(String)
    /// `{{`, `}}`, `{%` and `%}`, with whatever white space they take along.
    case outputBegin, outputEnd, blockBegin, blockEnd
    case name(String)
    case string(String)
    case integer(Int)
    case number(Double)
    /// Such as `==`, `|` or `(`.
    case symbol(String)
    case end
  }

  let kind: Kind
  let line: Int

  /// For messages.
  var words: String {
    switch kind {
    case .data: "text"
    case .outputBegin: "{{"
    case .outputEnd: "}}"
    case .blockBegin: "{%"
    case .blockEnd: "%}"
    case .name(let name): name
    case .string(let string): "'\(string)'"
    case .integer(let value): "\(value)"
    case .number(let value): "\(value)"
    case .symbol(let symbol): symbol
    case .end: "the end of the template"
    }
  }
}
