import SystemPackage

/// The tensors of a checkpoint that PyTorch saved: `pytorch_model.bin`, one file or several.
///
/// Since PyTorch 1.6 that is a zip archive with a pickle, `data.pkl`, and a file for each storage;
/// before, pickles one after the other, and the storages behind them. Either way the pickle goes
/// through `PickleMachine`, which executes nothing, and the tensors are read where they lie.
enum TorchWeights {
  static let weightsName = "pytorch_model.bin"
  static let indexName = "pytorch_model.bin.index.json"

  /// Whether the first bytes are those of such a file.
  static func matches(_ start: [UInt8]) -> Bool {
    start.starts(with: ZipArchive.magic) || start.starts(with: [0x80, 0x02])
  }

  /// Opens a single file.
  static func open(file path: FilePath) throws(CheckpointError) -> StoredTensors {
    let file = try CheckpointFile(opening: path)
    let start = try file.bytes(in: 0..<min(file.size, 4))
    if start.starts(with: ZipArchive.magic) { return try TorchArchive.open(file) }
    if start.starts(with: [0x80, 0x02]) { return try TorchLegacyFile.open(file) }
    throw .damagedTorch(path: path, problem: "expected a zip archive or a pickle")
  }

  /// Opens the shards that an index lists; they lie beside it.
  static func open(index path: FilePath) throws(CheckpointError) -> StoredTensors {
    try ShardIndex(opening: path).openShards { path throws(CheckpointError) in
      try open(file: path)
    }
  }

  /// No model's pickle is larger.
  static let pickleLimit = 8 << 20

  /// Runs a pickle, with errors that name the file.
  static func run(
    _ cursor: inout FileCursor
  ) throws(CheckpointError) -> (machine: PickleMachine, result: PickleValue) {
    do throws(PickleMachine.Problem) {
      return try PickleMachine.run(&cursor)
    } catch {
      switch error {
      case .file(let error): throw error
      case .failure(let failure):
        let path = cursor.file.path
        throw failure.isRefusal
          ? .refusedPickle(path: path, offset: failure.offset, found: failure.problem)
          : .damagedPickle(path: path, offset: failure.offset, problem: failure.problem)
      }
    }
  }

  /// The tensors of a dictionary from names to tensors.
  ///
  /// - Parameter place: of a storage: where its first element is.
  static func tensors(
    of result: PickleValue, in machine: PickleMachine, file: CheckpointFile, format: String,
    place: (PickleStorage) throws(CheckpointError) -> Range<Int>
  ) throws(CheckpointError) -> StoredTensors {
    guard case .dictionary(let dictionary) = result else {
      throw .damagedTorch(
        path: file.path, problem: "expected a dictionary of tensors, found \(result.kind)")
    }
    var tensors: [String: StoredTensor] = [:]
    for (key, value) in machine.dictionaries[dictionary] {
      guard case .string(let name) = key else {
        throw .damagedTorch(path: file.path, problem: "expected names, found \(key.kind)")
      }
      // Numbers and the like are no weights.
      guard case .tensor(let index) = value else { continue }
      let tensor = machine.tensors[index]
      let storage = machine.storages[tensor.storage]
      // As in Python, the last of two values of one key counts.
      tensors[name] = try self.tensor(
        tensor, named: name, storage: storage, at: try place(storage), in: file)
    }
    return StoredTensors(format: format, files: [file], tensors: tensors)
  }

  /// Checks that a view stays within its storage, and the storage within its bytes.
  private static func tensor(
    _ tensor: PickleTensor, named name: String, storage: PickleStorage, at bytes: Range<Int>,
    in file: CheckpointFile
  ) throws(CheckpointError) -> StoredTensor {
    func refuse(_ problem: String) -> CheckpointError {
      .damagedTorch(path: file.path, problem: "tensor '\(name)': \(problem)")
    }
    guard storage.count <= bytes.count / storage.kind.elementBytes else {
      throw refuse(
        "its storage has \(bytes.count) bytes for \(storage.count) elements of"
          + " \(storage.kind.elementBytes)")
    }
    guard tensor.offset >= 0, tensor.shape.allSatisfy({ $0 >= 0 }),
      tensor.strides.allSatisfy({ $0 >= 0 })
    else { throw refuse("expected no negative sizes") }
    var last = tensor.offset
    for (size, stride) in zip(tensor.shape, tensor.strides) where size > 0 {
      let (span, overflow) = (size - 1).multipliedReportingOverflow(by: stride)
      let (sum, overflow2) = last.addingReportingOverflow(span)
      guard !overflow, !overflow2 else { throw refuse("no memory holds the shape \(tensor.shape)") }
      last = sum
    }
    guard tensor.shape.contains(0) || last < storage.count else {
      throw refuse("it ends at element \(last) of a storage of \(storage.count)")
    }
    let order = tensor.order
    let name = storage.kind.type?.rawValue ?? storage.kind.rawValue
    return StoredTensor(
      file: file,
      // Where there are no elements, no offset was checked.
      offset: bytes.lowerBound
        + (tensor.shape.contains(0) ? 0 : tensor.offset * storage.kind.elementBytes),
      type: order == nil ? nil : storage.kind.type,
      typeName: order == nil ? "\(name) with strides \(tensor.strides)" : name,
      shape: tensor.shape, isTransposed: order == .transposed)
  }
}

extension PickleTensor {
  enum Order { case straight, transposed }

  /// How the elements follow each other; nil where there are gaps or stranger orders.
  var order: Order? {
    if strides(of: shape, are: strides) { return .straight }
    if shape.count == 2, strides(of: shape.reversed(), are: strides.reversed()) {
      return .transposed
    }
    return nil
  }

  private func strides(of shape: [Int], are strides: [Int]) -> Bool {
    var expected = 1
    for (size, stride) in zip(shape, strides).reversed() {
      guard size == 1 || stride == expected else { return false }
      // The last element lies within the storage: this does not overflow.
      expected = expected.multipliedReportingOverflow(by: size).partialValue
    }
    return true
  }
}
