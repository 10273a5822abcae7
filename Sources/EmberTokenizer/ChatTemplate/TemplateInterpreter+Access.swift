/// Attributes, items and slices.
extension TemplateInterpreter {
  /// `value.name`: a method or another attribute of the type, else the item of that name.
  func attribute(
    _ name: String, of value: TemplateValue
  ) throws(TemplateFailure) -> TemplateValue {
    switch value {
    case .undefined(let what): throw .undefined(what)
    case .namespace(let namespace):
      return namespace.attributes[name] ?? .undefined("the attribute '\(name)'")
    case .loop(let loop): return try loop.attribute(name)
    case .dictionary(let dictionary):
      if let method = method(name, of: value) { return method }
      return dictionary[name] ?? .undefined("'\(name)' of a dict")
    default:
      return method(name, of: value) ?? .undefined("'\(name)' of a \(value.typeName)")
    }
  }

  /// `value[index]`: the item, else the attribute of that name.
  func item(
    _ index: TemplateValue, of value: TemplateValue
  ) throws(TemplateFailure) -> TemplateValue {
    switch value {
    case .undefined(let what): throw .undefined(what)
    case .dictionary(let dictionary):
      if let found = dictionary[index] { return found }
    case .sequence(let sequence) where sequence.kind == .list || sequence.kind == .tuple:
      if let number = index.asInteger {
        return Self.position(number, sequence.items.count).map { sequence.items[$0] }
          ?? .undefined("item \(number) of \(sequence.items.count)")
      }
    case .text(let text):
      if let number = index.asInteger {
        return Self.position(number, text.count).map { .text(text[$0..<$0 + 1]) }
          ?? .undefined("character \(number) of \(text.count)")
      }
    case .namespace, .loop:
      if case .text(let name) = index { return try attribute(name.string, of: value) }
    default: break
    }
    if case .text(let name) = index, let method = method(name.string, of: value) { return method }
    let what = index.weight < 100 ? try index.representation().string : "an item"
    return .undefined("\(what) of a \(value.typeName)")
  }

  private static func position(_ index: Int, _ count: Int) -> Int? {
    let position = index < 0 ? index + count : index
    return position >= 0 && position < count ? position : nil
  }

  private func method(_ name: String, of value: TemplateValue) -> TemplateValue? {
    TemplateMethods.names(of: value).contains(name)
      ? .function(.method(name, of: TemplateMethodOwner(value))) : nil
  }

  func slice(
    _ value: TemplateExpression, _ start: TemplateExpression?, _ stop: TemplateExpression?,
    _ step: TemplateExpression?
  ) throws(TemplateFailure) -> TemplateValue {
    let value = try evaluate(value)
    let bounds = [try bound(start), try bound(stop), try bound(step)]
    func indices(_ count: Int) throws(TemplateFailure) -> [Int] {
      try charge(count)
      return try Self.indices(start: bounds[0], stop: bounds[1], step: bounds[2] ?? 1, of: count)
    }
    switch value {
    case .text(let text):
      return .text(TemplateText(units: try indices(text.count).map { text.units[$0] }))
    case .sequence(let sequence) where sequence.kind == .list || sequence.kind == .tuple:
      let items = try indices(sequence.items.count).map { sequence.items[$0] }
      return .sequence(try TemplateSequence(items, sequence.kind))
    case .undefined(let what): throw .undefined(what)
    default: throw .evaluation("a \(value.typeName) cannot be sliced")
    }
  }

  private func bound(_ expression: TemplateExpression?) throws(TemplateFailure) -> Int? {
    guard let expression else { return nil }
    let value = try evaluate(expression)
    if case .null = value { return nil }
    return try value.integer("a slice")
  }

  /// Python's slice.
  static func indices(
    start: Int?, stop: Int?, step: Int, of count: Int
  ) throws(TemplateFailure) -> [Int] {
    if step == 0 { throw .evaluation("a slice with step 0") }
    let isForward = step > 0
    let (low, high) = isForward ? (0, count) : (-1, count - 1)
    func clamped(_ bound: Int?, _ standard: Int) -> Int {
      guard let bound else { return standard }
      let position = bound < 0 ? max(bound, -count - 1) + count : bound
      return min(max(position, low), high)
    }
    let first = clamped(start, isForward ? low : high)
    let end = clamped(stop, isForward ? high : low)
    // Steps beyond the whole length all do the same, and cannot overflow.
    return Array(stride(from: first, to: end, by: min(max(step, -count - 1), count + 1)))
  }
}

extension TemplateLoop {
  func attribute(_ name: String) throws(TemplateFailure) -> TemplateValue {
    switch name {
    case "index": .integer(index + 1)
    case "index0": .integer(index)
    case "revindex": .integer(items.count - index)
    case "revindex0": .integer(items.count - index - 1)
    case "first": .bool(index == 0)
    case "last": .bool(index == items.count - 1)
    case "length": .integer(items.count)
    case "previtem":
      index > 0 ? items[index - 1] : .undefined("there is no previous item, loop.previtem")
    case "nextitem":
      index + 1 < items.count
        ? items[index + 1] : .undefined("there is no next item, loop.nextitem")
    // Of recursive loops, which there are not.
    case "depth": .integer(1)
    case "depth0": .integer(0)
    case "cycle", "changed": .function(.method(name, of: TemplateMethodOwner(.loop(self))))
    default: throw .unsupported("loop.\(name)")
    }
  }
}
