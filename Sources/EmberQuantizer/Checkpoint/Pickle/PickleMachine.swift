/// Python's pickle as a small stack machine that executes nothing.
///
/// It knows the opcodes with which PyTorch writes a dictionary of tensors, and refuses all others;
/// the few globals that it lets pass are names, never looked up in any program. What a pickle can
/// make it do is put values into arrays, of which there may only be so many.
///
/// Source: the opcodes of Python's `pickletools`; the choice of what is harmless is that of
/// PyTorch's own `torch/_weights_only_unpickler.py`, less what checkpoints of weights do not need.
struct PickleMachine {
  struct Failure: Error, Equatable {
    let offset: Int
    let problem: String
    /// Whether it is something that would run code in Python, or might: not mere damage.
    let isRefusal: Bool
  }

  /// No checkpoint comes close: 20,000 tensors in one file take this many.
  private static let valueLimit = 250_000

  private var cursor: FileCursor
  private let start: Int
  private var at = 0
  private var stack: [PickleValue] = []
  private var marks: [Int] = []
  private var memo: [Int: PickleValue] = [:]
  private var values = 0

  private(set) var tuples: [[PickleValue]] = []
  private(set) var lists: [[PickleValue]] = []
  private(set) var dictionaries: [[(key: PickleValue, value: PickleValue)]] = []
  private(set) var storages: [PickleStorage] = []
  private(set) var tensors: [PickleTensor] = []

  enum Problem: Error {
    case failure(Failure)
    case file(CheckpointError)
  }

  /// Runs the pickle at the cursor up to its STOP, behind which the cursor is left.
  ///
  /// Complexity: O(n) in the bytes of the pickle.
  static func run(
    _ cursor: inout FileCursor
  ) throws(Problem) -> (machine: PickleMachine, result: PickleValue) {
    var machine = PickleMachine(cursor: cursor, start: cursor.offset)
    let result = try machine.run()
    cursor = machine.cursor
    return (machine, result)
  }

  private init(cursor: FileCursor, start: Int) {
    self.cursor = cursor
    self.start = start
  }

  private mutating func run() throws(Problem) -> PickleValue {
    while true {
      at = cursor.offset - start
      let code = try byte()
      guard let opcode = PickleOpcode(rawValue: code) else {
        throw refuse("the opcode \(PickleOpcode.name(of: code))")
      }
      if opcode == .stop {
        guard stack.count == 1, marks.isEmpty else {
          throw damage("expected one value at the end, found \(stack.count)")
        }
        return stack[0]
      }
      try execute(opcode)
    }
  }

  private mutating func execute(_ opcode: PickleOpcode) throws(Problem) {
    switch opcode {
    case .stop: return
    case .proto:
      let version = try byte()
      guard (2...5).contains(version) else { throw refuse("pickle protocol \(version)") }
    case .frame: _ = try integer(UInt64.self)
    case .mark:
      guard stack.count + marks.count < Self.valueLimit else { throw tooMany }
      marks.append(stack.count)
    case .none: try push(.none)
    case .newTrue: try push(.boolean(true))
    case .newFalse: try push(.boolean(false))
    case .binInt: try push(.integer(Int(try integer(Int32.self))))
    case .binInt1: try push(.integer(Int(try byte())))
    case .binInt2: try push(.integer(Int(try integer(UInt16.self))))
    case .long1: try pushLong()
    case .binFloat:
      // The only number that is stored big-endian.
      try push(.number(Double(bitPattern: try integer(UInt64.self).byteSwapped)))
    case .binUnicode: try pushString(Int(try integer(UInt32.self)))
    case .shortBinUnicode, .shortBinString: try pushString(Int(try byte()))
    case .emptyTuple: try pushTuple([])
    case .tuple1: try pushTuple(try pop(1))
    case .tuple2: try pushTuple(try pop(2))
    case .tuple3: try pushTuple(try pop(3))
    case .tuple: try pushTuple(try popToMark())
    case .emptyList:
      lists.append([])
      try push(.list(lists.count - 1))
    case .emptyDict: try pushDictionary()
    case .append: try append(try pop(1))
    case .appends: try append(try popToMark())
    case .setItem: try setItems(try pop(2))
    case .setItems: try setItems(try popToMark())
    case .global:
      let module = try line()
      try pushGlobal(module: module, name: try line())
    case .stackGlobal:
      let names = try pop(2)
      guard case .string(let module) = names[0], case .string(let name) = names[1] else {
        throw refuse("STACK_GLOBAL of \(names[0].kind) and \(names[1].kind)")
      }
      try pushGlobal(module: module, name: name)
    case .reduce: try reduce()
    case .build:
      // A dictionary's own attributes, such as a state dictionary's versions: none is needed.
      let values = try pop(2)
      guard case .dictionary = values[0], case .dictionary = values[1] else {
        throw refuse("BUILD of \(values[0].kind) with \(values[1].kind)")
      }
      try push(values[0])
    case .binPersistentID: try pushStorage()
    case .binPut: try put(Int(try byte()))
    case .longBinPut: try put(Int(try integer(UInt32.self)))
    case .memoize: try put(memo.count)
    case .binGet: try get(Int(try byte()))
    case .longBinGet: try get(Int(try integer(UInt32.self)))
    }
  }
}

// MARK: - Stack and memo

extension PickleMachine {
  private mutating func push(_ value: PickleValue) throws(Problem) {
    values += 1
    guard values <= 4 * Self.valueLimit, stack.count + marks.count < Self.valueLimit,
      tuples.count + lists.count + dictionaries.count < Self.valueLimit
    else { throw tooMany }
    stack.append(value)
  }

  private mutating func pop(_ count: Int) throws(Problem) -> [PickleValue] {
    guard stack.count - (marks.last ?? 0) >= count else { throw damage("the stack is empty") }
    defer { stack.removeLast(count) }
    return Array(stack.suffix(count))
  }

  private mutating func popToMark() throws(Problem) -> [PickleValue] {
    guard let mark = marks.popLast() else { throw damage("there is no mark on the stack") }
    defer { stack.removeLast(stack.count - mark) }
    return Array(stack[mark...])
  }

  private func top() throws(Problem) -> PickleValue {
    guard stack.count > marks.last ?? 0, let value = stack.last else {
      throw damage("the stack is empty")
    }
    return value
  }

  private mutating func put(_ index: Int) throws(Problem) {
    guard memo.count < Self.valueLimit else {
      throw damage("expected at most \(Self.valueLimit) memoized values, found more")
    }
    memo[index] = try top()
  }

  private mutating func get(_ index: Int) throws(Problem) {
    guard let value = memo[index] else { throw damage("nothing was memoized as \(index)") }
    try push(value)
  }
}

// MARK: - Values

extension PickleMachine {
  private mutating func pushTuple(_ elements: [PickleValue]) throws(Problem) {
    tuples.append(elements)
    try push(.tuple(tuples.count - 1))
  }

  private mutating func pushDictionary() throws(Problem) {
    dictionaries.append([])
    try push(.dictionary(dictionaries.count - 1))
  }

  private mutating func pushLong() throws(Problem) {
    let count = Int(try byte())
    guard count <= 8 else { throw refuse("an integer of \(count) bytes") }
    var value: Int64 = 0
    var last: UInt8 = 0
    for index in 0..<count {
      last = try byte()
      value |= Int64(last) << Int64(8 * index)
    }
    // Two's complement of as few bytes as it takes.
    if count > 0, count < 8, last >= 128 { value -= 1 << Int64(8 * count) }
    try push(.integer(Int(value)))
  }

  private mutating func pushString(_ count: Int) throws(Problem) {
    var bytes: [UInt8] = []
    do throws(FileCursor.Problem) {
      try cursor.append(count, to: &bytes)
    } catch { throw ended(error) }
    try push(.string(String(decoding: bytes, as: UTF8.self)))
  }

  private mutating func append(_ elements: [PickleValue]) throws(Problem) {
    guard case .list(let list) = try top() else {
      throw refuse("APPEND to \(try top().kind)")
    }
    lists[list] += elements
  }

  private mutating func setItems(_ items: [PickleValue]) throws(Problem) {
    guard case .dictionary(let dictionary) = try top(), items.count % 2 == 0 else {
      throw refuse("SETITEMS of \(try top().kind)")
    }
    for index in stride(from: 0, to: items.count, by: 2) {
      dictionaries[dictionary].append((items[index], items[index + 1]))
    }
  }

  private mutating func pushGlobal(module: String, name: String) throws(Problem) {
    guard let global = PickleGlobal(module: module, name: name) else {
      throw refuse("the global \(shown(module)).\(shown(name))")
    }
    try push(.global(global))
  }

  /// A call: of one of the few functions that are known, with arguments as PyTorch gives them.
  private mutating func reduce() throws(Problem) {
    let values = try pop(2)
    guard case .global(let function) = values[0], case .tuple(let index) = values[1] else {
      throw refuse("a call of \(values[0].kind)")
    }
    let arguments = tuples[index]
    switch (function, arguments.count) {
    case (.orderedDictionary, 0): try pushDictionary()
    case (.size, 1):
      guard case .tuple = arguments[0] else { throw refuse("torch.Size of \(arguments[0].kind)") }
      try push(arguments[0])
    case (.rebuildParameter, 3):
      guard case .tensor = arguments[0] else {
        throw refuse("a parameter of \(arguments[0].kind)")
      }
      try push(arguments[0])
    // storage, offset, size, strides, requires_grad, hooks, and perhaps metadata
    case (.rebuildTensor, 6), (.rebuildTensor, 7):
      guard case .storage(let storage) = arguments[0], case .integer(let offset) = arguments[1],
        let shape = integers(arguments[2]), let strides = integers(arguments[3]),
        shape.count == strides.count
      else { throw damage("_rebuild_tensor_v2 with arguments of other types than PyTorch gives") }
      tensors.append(PickleTensor(storage: storage, offset: offset, shape: shape, strides: strides))
      try push(.tensor(tensors.count - 1))
    default:
      throw refuse("a call of \(function.description) with \(arguments.count) arguments")
    }
  }

  /// The integers of a tuple of at most eight.
  private func integers(_ value: PickleValue) -> [Int]? {
    guard case .tuple(let index) = value, tuples[index].count <= 8 else { return nil }
    var result: [Int] = []
    for element in tuples[index] {
      guard case .integer(let integer) = element else { return nil }
      result.append(integer)
    }
    return result
  }

  /// A persistent id: ("storage", class, key, location, number of elements), in older files with the
  /// part that is meant, which has to be the whole.
  private mutating func pushStorage() throws(Problem) {
    guard case .tuple(let index) = try pop(1)[0] else { throw damage("expected a tuple as an id") }
    let parts = tuples[index]
    guard parts.count == 5 || (parts.count == 6 && parts[5] == .none),
      parts[0] == .string("storage"),
      case .global(.storage(let kind)) = parts[1],
      case .string(let key) = parts[2], case .integer(let count) = parts[4], count >= 0
    else { throw damage("expected the id of a storage") }
    storages.append(PickleStorage(key: key, kind: kind, count: count))
    try push(.storage(storages.count - 1))
  }
}

// MARK: - Reading

extension PickleMachine {
  private mutating func byte() throws(Problem) -> UInt8 {
    do throws(FileCursor.Problem) { return try cursor.byte() } catch { throw ended(error) }
  }

  private mutating func integer<Value: FixedWidthInteger>(
    _ type: Value.Type
  ) throws(Problem) -> Value {
    do throws(FileCursor.Problem) { return try cursor.integer(type) } catch { throw ended(error) }
  }

  /// A line of a GLOBAL; longer ones are names of nothing.
  private mutating func line() throws(Problem) -> String {
    do throws(FileCursor.Problem) {
      return String(decoding: try cursor.line(limit: 256), as: UTF8.self)
    } catch { throw ended(error) }
  }

  private func ended(_ problem: FileCursor.Problem) -> Problem {
    switch problem {
    case .file(let error): .file(error)
    case .end: damage("it ends within an instruction, or announces more than there is")
    }
  }

  private var tooMany: Problem {
    damage("expected at most \(Self.valueLimit) values, found more")
  }

  private func refuse(_ what: String) -> Problem {
    .failure(Failure(offset: at, problem: what, isRefusal: true))
  }

  private func damage(_ problem: String) -> Problem {
    .failure(Failure(offset: at, problem: problem, isRefusal: false))
  }
}
