/// A value in a template, with Python's types as far as chat templates meet them.
///
/// Nothing in it can be changed in place but a namespace's attributes, as in the sandbox that
/// transformers renders in; and a namespace cannot be put into another value, so values are trees.
enum TemplateValue {
  /// With what is missing, for messages.
  case undefined(String)
  case null
  case bool(Bool)
  case integer(Int)
  case number(Double)
  case text(TemplateText)
  case sequence(TemplateSequence)
  case dictionary(TemplateDictionary)
  case namespace(TemplateNamespace)
  case loop(TemplateLoop)
  case function(TemplateFunction)

  static func text(_ value: String) -> TemplateValue { .text(TemplateText(value)) }

  static func list(_ items: [TemplateValue]) throws(TemplateFailure) -> TemplateValue {
    .sequence(try TemplateSequence(items))
  }

  /// Levels of lists and dictionaries.
  var depth: Int {
    switch self {
    case .sequence(let sequence): sequence.depth
    case .dictionary(let dictionary): dictionary.depth
    default: 0
    }
  }

  /// Scalars and values that it would have if it were written out.
  var weight: Int {
    switch self {
    case .text(let text): 1 + text.count
    case .sequence(let sequence): sequence.weight
    case .dictionary(let dictionary): dictionary.weight
    default: 1
    }
  }

  /// The name of its type in Python, for messages.
  var typeName: String {
    switch self {
    case .undefined: "undefined"
    case .null: "NoneType"
    case .bool: "bool"
    case .integer: "int"
    case .number: "float"
    case .text: "str"
    case .sequence(let sequence): sequence.kind.rawValue
    case .dictionary: "dict"
    case .namespace: "namespace"
    case .loop: "loop"
    case .function: "function"
    }
  }

  var isUndefined: Bool { if case .undefined = self { true } else { false } }

  /// Python's truth of it.
  var isTrue: Bool {
    switch self {
    case .undefined, .null: false
    case .bool(let value): value
    case .integer(let value): value != 0
    case .number(let value): value != 0
    case .text(let text): !text.isEmpty
    case .sequence(let sequence): sequence.kind == .generator || !sequence.items.isEmpty
    case .dictionary(let dictionary): dictionary.count > 0
    case .namespace, .loop, .function: true
    }
  }

  /// True and false count as numbers, as in Python.
  var asInteger: Int? {
    switch self {
    case .integer(let value): value
    case .bool(let value): value ? 1 : 0
    default: nil
    }
  }

  var asNumber: Double? {
    if case .number(let value) = self { return value }
    return asInteger.map(Double.init)
  }
}

/// What went wrong, before it is known where.
enum TemplateFailure: Error {
  case evaluation(String)
  case unsupported(String)
  case refused(String)
  case limit(String)

  /// Values nested deeper than this are no conversation, and recursion must end before the stack.
  static let deepestValue = 64

  static func undefined(_ what: String) -> TemplateFailure { .evaluation("\(what) is undefined") }
}

/// Several values in a row.
struct TemplateSequence {
  enum Kind: String {
    case list
    case tuple
    /// What filters such as `map` and `select` give: always true, without a length or an index.
    case generator
    /// What `keys`, `values` and `items` of a dictionary give: without an index.
    case view = "dict view"
  }

  let items: [TemplateValue]
  let kind: Kind
  let depth: Int
  let weight: Int

  init(_ items: [TemplateValue], _ kind: Kind = .list) throws(TemplateFailure) {
    self.items = items
    self.kind = kind
    (depth, weight) = try Self.measure(items)
  }

  /// The depth and the weight of a value that holds these.
  ///
  /// - Throws: what is nested too deep or too large, or a namespace inside another value.
  static func measure(
    _ items: [TemplateValue]
  ) throws(TemplateFailure) -> (depth: Int, weight: Int) {
    var depth = 0
    var weight = 1
    for item in items {
      if case .namespace = item { throw .unsupported("a namespace inside another value") }
      depth = max(depth, item.depth)
      // Each is at most the limit, so the sum cannot overflow before it is checked.
      weight += item.weight
      if weight > TemplateValue.sizeLimit { throw .limit("a value is too large") }
    }
    if depth >= TemplateFailure.deepestValue {
      throw .limit("values are nested deeper than \(TemplateFailure.deepestValue)")
    }
    return (depth + 1, weight)
  }
}

/// A namespace: the only value with attributes that can be set.
final class TemplateNamespace {
  var attributes: [String: TemplateValue] = [:]
}

/// `loop` inside a `for`.
final class TemplateLoop {
  let items: [TemplateValue]
  var index = 0
  /// What `loop.changed` saw last.
  var lastSeen: [TemplateValue]?

  init(_ items: [TemplateValue]) { self.items = items }
}

/// What can be called.
enum TemplateFunction {
  case global(TemplateGlobal)
  case method(String, of: TemplateMethodOwner)
  case macro(TemplateMacro)
}

/// Boxed, since a value contains it.
final class TemplateMethodOwner {
  let value: TemplateValue
  init(_ value: TemplateValue) { self.value = value }
}

/// A macro and where it was defined.
final class TemplateMacro {
  let definition: TemplateStatement.Macro
  let scope: TemplateScope

  init(_ definition: TemplateStatement.Macro, scope: TemplateScope) {
    self.definition = definition
    self.scope = scope
  }
}

/// The variables of a block, and of those around it.
final class TemplateScope {
  var variables: [String: TemplateValue] = [:]
  let parent: TemplateScope?

  init(parent: TemplateScope?) { self.parent = parent }

  func value(_ name: String) -> TemplateValue? {
    var scope: TemplateScope? = self
    while let current = scope {
      if let value = current.variables[name] { return value }
      scope = current.parent
    }
    return nil
  }
}
