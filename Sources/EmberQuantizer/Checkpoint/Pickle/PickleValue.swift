/// A value on the stack of the unpickler.
///
/// Containers are numbers of places in `PickleMachine`'s arenas: a pickle may build them as deep as
/// it likes, or within themselves, and releasing such a thing costs no recursion.
enum PickleValue: Sendable, Equatable {
  case none
  case boolean(Bool)
  case integer(Int)
  case number(Double)
  case string(String)
  case tuple(Int)
  case list(Int)
  case dictionary(Int)
  case global(PickleGlobal)
  case storage(Int)
  case tensor(Int)

  /// As an error message calls it.
  var kind: String {
    switch self {
    case .none: "None"
    case .boolean: "a boolean"
    case .integer: "an integer"
    case .number: "a number"
    case .string: "a string"
    case .tuple: "a tuple"
    case .list: "a list"
    case .dictionary: "a dictionary"
    case .global(let global): "the global \(global.description)"
    case .storage: "a storage"
    case .tensor: "a tensor"
    }
  }
}

/// The globals that a checkpoint may name: none of them is Python's, each is a few lines here.
enum PickleGlobal: Sendable, Equatable {
  case orderedDictionary
  /// `torch._utils._rebuild_tensor_v2`
  case rebuildTensor
  /// `torch._utils._rebuild_parameter`
  case rebuildParameter
  case size
  case storage(PickleStorageClass)

  init?(module: String, name: String) {
    switch (module, name) {
    case ("collections", "OrderedDict"): self = .orderedDictionary
    case ("torch._utils", "_rebuild_tensor_v2"): self = .rebuildTensor
    case ("torch._utils", "_rebuild_parameter"): self = .rebuildParameter
    case ("torch", "Size"): self = .size
    default:
      guard module == "torch", let storage = PickleStorageClass(rawValue: name) else { return nil }
      self = .storage(storage)
    }
  }

  /// What errors list.
  static let allowed =
    "collections.OrderedDict, torch._utils._rebuild_tensor_v2, torch._utils._rebuild_parameter,"
    + " torch.Size, the classes of storages"

  var description: String {
    switch self {
    case .orderedDictionary: "collections.OrderedDict"
    case .rebuildTensor: "torch._utils._rebuild_tensor_v2"
    case .rebuildParameter: "torch._utils._rebuild_parameter"
    case .size: "torch.Size"
    case .storage(let storage): "torch.\(storage.rawValue)"
    }
  }
}

/// PyTorch's classes of storages, by their elements.
enum PickleStorageClass: String, Sendable, Equatable {
  case double = "DoubleStorage"
  case float = "FloatStorage"
  case half = "HalfStorage"
  case brainFloat16 = "BFloat16Storage"
  case long = "LongStorage"
  case int = "IntStorage"
  case short = "ShortStorage"
  case char = "CharStorage"
  case byte = "ByteStorage"
  case bool = "BoolStorage"

  /// Nil where the elements are no weights.
  var type: StoredType? {
    switch self {
    case .double: .float64
    case .float: .float32
    case .half: .float16
    case .brainFloat16: .brainFloat16
    case .long, .int, .short, .char, .byte, .bool: nil
    }
  }

  var elementBytes: Int {
    switch self {
    case .double, .long: 8
    case .float, .int: 4
    case .half, .brainFloat16, .short: 2
    case .char, .byte, .bool: 1
    }
  }
}

/// A storage as a pickle names it: its elements lie elsewhere.
struct PickleStorage: Sendable, Equatable {
  let key: String
  let kind: PickleStorageClass
  /// In elements.
  let count: Int
}

/// A tensor as a pickle describes it: a view of a storage.
struct PickleTensor: Sendable, Equatable {
  let storage: Int
  /// In elements.
  let offset: Int
  let shape: [Int]
  let strides: [Int]
}
