import SystemPackage

/// The tensors of a model, one after another: what each is called here and in the checkpoint, and
/// its shape.
struct TensorList: Sendable {
  struct Entry: Sendable {
    let name: String
    /// In the checkpoint.
    let stored: String
    let rows: Int
    let columns: Int
    /// As the checkpoint has it; elements come in the same order.
    let shape: [Int]
  }

  private(set) var entries: [Entry] = []
  /// Whether the last one is not in the checkpoint. Nothing is added behind it: a hostile number of
  /// layers ends there.
  private(set) var isBroken = false
  private let weights: StoredTensors

  init(of weights: StoredTensors) { self.weights = weights }

  /// [rows, columns]
  mutating func addMatrix(_ name: String, _ stored: String, rows: Int, columns: Int) {
    add(Entry(name: name, stored: stored, rows: rows, columns: columns, shape: [rows, columns]))
  }

  /// [1, count], stored in any shape of as many elements.
  mutating func addVector(_ name: String, _ stored: String, count: Int, shape: [Int]? = nil) {
    add(Entry(name: name, stored: stored, rows: 1, columns: count, shape: shape ?? [count]))
  }

  private mutating func add(_ entry: Entry) {
    if isBroken { return }
    entries.append(entry)
    isBroken = weights[entry.stored] == nil
  }
}

/// The tensors of a list, found in a checkpoint and checked.
struct ListedTensors {
  let tensors: [CheckpointTensor]
  let warnings: [String]

  /// - Parameters:
  ///   - source: what holds the weights, for errors.
  ///   - ignoredPrefixes: of names that may be there without being asked for.
  init(
    _ list: TensorList, in weights: StoredTensors, source: FilePath, ignoredPrefixes: [String]
  ) throws(CheckpointError) {
    var tensors: [CheckpointTensor] = []
    for entry in list.entries { tensors.append(try Self.find(entry, in: weights, source)) }
    self.tensors = tensors
    let used = Set(list.entries.map(\.stored))
    let unused = weights.tensors.keys.filter { name in
      !used.contains(name) && !ignoredPrefixes.contains { name.hasPrefix($0) }
    }.sorted()
    let more = unused.count > 8 ? " and \(unused.count - 8) more" : ""
    warnings =
      unused.isEmpty
      ? []
      : ["unused tensors in the checkpoint: \(unused.prefix(8).joined(separator: ", "))\(more)"]
  }

  /// Once the shapes agree, the checks of the file's header say that all of the tensor lies within the
  /// file.
  private static func find(
    _ entry: TensorList.Entry, in weights: StoredTensors, _ source: FilePath
  ) throws(CheckpointError) -> CheckpointTensor {
    guard let tensor = weights[entry.stored] else {
      throw .missingTensor(path: source, tensor: entry.stored)
    }
    // A vector is read as it lies.
    let isReadable = entry.rows > 1 || !tensor.isTransposed
    guard let type = tensor.type, isReadable else {
      throw .unsupportedType(
        path: tensor.file.path, tensor: entry.stored,
        found: tensor.typeName + (tensor.isTransposed ? ", transposed" : ""))
    }
    guard tensor.shape == entry.shape else {
      throw .wrongShape(
        path: tensor.file.path, tensor: entry.stored, expected: entry.shape, found: tensor.shape)
    }
    return CheckpointTensor(
      name: entry.name, rows: entry.rows, columns: entry.columns, storedName: entry.stored,
      storage: tensor.matrix(
        of: type, columns: entry.columns, order: .outputsByInputs, firstOutput: 0))
  }
}
