/// A dictionary that keeps its order, with Python's idea of equal keys: 1, 1.0 and true are one.
struct TemplateDictionary {
  private(set) var keys: [TemplateValue] = []
  private(set) var values: [TemplateValue] = []
  private(set) var depth = 1
  private(set) var weight = 1
  private var positions: [Key: Int] = [:]

  var count: Int { keys.count }

  private enum Key: Hashable {
    case null
    case integer(Int)
    case number(Double)
    case text(TemplateText)
    case tuple([Key])

    init?(_ value: TemplateValue) {
      switch value {
      case .null: self = .null
      case .bool, .integer: self = .integer(value.asInteger ?? 0)
      case .number(let number): self = Int(exactly: number).map(Key.integer) ?? .number(number)
      case .text(let text): self = .text(text)
      case .sequence(let sequence) where sequence.kind == .tuple:
        var keys: [Key] = []
        for item in sequence.items {
          guard let key = Key(item) else { return nil }
          keys.append(key)
        }
        self = .tuple(keys)
      default: return nil
      }
    }
  }

  init() {}

  init(_ pairs: [(String, TemplateValue)]) throws(TemplateFailure) {
    for (key, value) in pairs { try set(.text(key), to: value) }
  }

  /// nil where there is no such key, or a value that cannot be one.
  subscript(key: TemplateValue) -> TemplateValue? {
    Key(key).flatMap { positions[$0] }.map { values[$0] }
  }

  subscript(key: String) -> TemplateValue? { self[.text(key)] }

  mutating func set(_ key: TemplateValue, to value: TemplateValue) throws(TemplateFailure) {
    guard let position = Key(key) else {
      throw .evaluation("a \(key.typeName) cannot be the key of a dictionary")
    }
    let (newDepth, newWeight) = try TemplateSequence.measure([key, value])
    depth = max(depth, newDepth)
    weight += newWeight
    if weight > TemplateValue.sizeLimit { throw .limit("a dictionary is too large") }
    if let known = positions[position] {
      values[known] = value
    } else {
      positions[position] = keys.count
      keys.append(key)
      values.append(value)
    }
  }

  /// As tuples.
  var items: [TemplateValue] {
    get throws(TemplateFailure) {
      var items: [TemplateValue] = []
      for index in keys.indices {
        items.append(.sequence(try TemplateSequence([keys[index], values[index]], .tuple)))
      }
      return items
    }
  }
}
