/// A file as PyTorch saved it before 1.6: five pickles, then the storages.
///
/// The pickles are a magic number, the version of the protocol, what machine it was, the object
/// itself, and the keys of the storages, which follow in this order: for each its number of elements
/// in eight bytes, then these.
enum TorchLegacyFile {
  /// The pickle of the magic number, 0x1950A86A20F9469CFC6C.
  private static let magic: [UInt8] = [
    0x80, 0x02, 0x8A, 0x0A, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19, 0x2E,
  ]

  static func open(_ file: CheckpointFile) throws(CheckpointError) -> StoredTensors {
    func damaged(_ problem: String) -> CheckpointError {
      .damagedTorch(path: file.path, problem: problem)
    }
    var start = magic.count
    guard file.size > start, try file.bytes(in: 0..<start) == magic else {
      throw damaged("a pickle, but not one that PyTorch saved")
    }
    func next() throws(CheckpointError) -> (machine: PickleMachine, result: PickleValue) {
      var cursor = FileCursor(file, from: start, end: start + TorchWeights.pickleLimit)
      defer { start = cursor.offset }
      return try TorchWeights.run(&cursor)
    }
    guard case .integer(1001) = try next().result else {
      throw damaged("expected protocol version 1001")
    }
    let machineKind = try next()
    if case .dictionary(let index) = machineKind.result {
      for (key, value) in machineKind.machine.dictionaries[index]
      where key == .string("little_endian") && value != .boolean(true) {
        throw .unsupportedFormat(path: file.path, found: "a PyTorch checkpoint in big-endian order")
      }
    }
    let object = try next()
    let keys = try next()
    guard case .list(let list) = keys.result else { throw damaged("expected the storages' keys") }

    var kinds: [String: PickleStorageClass] = [:]
    for storage in object.machine.storages { kinds[storage.key] = storage.kind }
    var places: [String: Range<Int>] = [:]
    for key in keys.machine.lists[list] {
      guard case .string(let key) = key, let kind = kinds[key] else {
        throw damaged("a storage that no tensor names")
      }
      guard file.size - start >= 8 else { throw damaged("truncated before the storage '\(key)'") }
      let count = try file.bytes(in: start..<start + 8).reversed().reduce(UInt64(0)) {
        $0 << 8 | UInt64($1)
      }
      start += 8
      guard count <= UInt64((file.size - start) / kind.elementBytes) else {
        throw damaged(
          "the storage '\(key)': expected \(count) elements, found \(file.size - start) bytes")
      }
      let end = start + Int(count) * kind.elementBytes
      guard places.updateValue(start..<end, forKey: key) == nil else {
        throw damaged("the storage '\(key)' appears twice")
      }
      start = end
    }
    return try TorchWeights.tensors(
      of: object.result, in: object.machine, file: file, format: "PyTorch"
    ) { storage throws(CheckpointError) in
      guard let place = places[storage.key] else {
        throw damaged("the storage '\(storage.key)' is missing")
      }
      return place
    }
  }
}
