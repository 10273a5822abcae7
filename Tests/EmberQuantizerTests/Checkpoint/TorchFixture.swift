/// Files of PyTorch, byte by byte, as no PyTorch would write them.
enum TorchFixture {
  /// One entry of a zip archive; what the directory says of it may differ from what it is.
  struct Entry {
    var name: String
    var bytes: [UInt8]
    var method: UInt16 = 0
    var flags: UInt16 = 0
    /// Sizes and place in the directory, nil for the true ones.
    var size: UInt32?
    var storedSize: UInt32?
    var start: UInt32?
    /// An extension of the directory's record.
    var extra: [UInt8] = []
  }

  static func little(_ value: UInt64, _ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * $0)) }
  }

  /// - Parameters:
  ///   - count: of entries, as the end record has it.
  ///   - directory: the start of the directory, as the end record has it.
  static func zip(
    _ entries: [Entry], count: UInt16? = nil, directory: UInt32? = nil, comment: [UInt8] = []
  ) -> [UInt8] {
    var file: [UInt8] = []
    var records: [UInt8] = []
    for entry in entries {
      let start = UInt32(file.count)
      let name = Array(entry.name.utf8)
      let sizes =
        little(UInt64(entry.storedSize ?? entry.size ?? UInt32(entry.bytes.count)), 4)
        + little(UInt64(entry.size ?? UInt32(entry.bytes.count)), 4)
      let common =
        little(20, 2) + little(UInt64(entry.flags), 2) + little(UInt64(entry.method), 2)
        + [UInt8](repeating: 0, count: 8) + sizes + little(UInt64(name.count), 2)
      file += [0x50, 0x4B, 3, 4] + common + [0, 0] + name + entry.bytes
      records += [0x50, 0x4B, 1, 2, 20, 0] + common + little(UInt64(entry.extra.count), 2)
      records += [UInt8](repeating: 0, count: 10) + little(UInt64(entry.start ?? start), 4)
      records += name + entry.extra
    }
    let start = directory ?? UInt32(file.count)
    let number = little(UInt64(count ?? UInt16(entries.count)), 2)
    return file + records + [0x50, 0x4B, 5, 6, 0, 0, 0, 0] + number + number
      + little(UInt64(records.count), 4) + little(UInt64(start), 4)
      + little(UInt64(comment.count), 2) + comment
  }

  /// A checkpoint whose pickle is given, with one storage of 64 bytes.
  static func checkpoint(_ pickle: [UInt8]) -> [UInt8] {
    zip([
      Entry(name: "a/data.pkl", bytes: [0x80, 2] + pickle),
      Entry(name: "a/data/0", bytes: [UInt8](repeating: 0, count: 64)),
    ])
  }

  // MARK: Pickles

  static func global(_ module: String, _ name: String) -> [UInt8] {
    [0x63] + Array("\(module)\n\(name)\n".utf8)
  }
  static func string(_ text: String) -> [UInt8] {
    [0x58] + little(UInt64(text.utf8.count), 4) + Array(text.utf8)
  }
  static func integer(_ value: Int) -> [UInt8] {
    [0x8A, 8] + little(UInt64(bitPattern: Int64(value)), 8)
  }
  static func tuple(_ elements: [[UInt8]]) -> [UInt8] { [0x28] + elements.joined() + [0x74] }
  static func integers(_ values: [Int]) -> [UInt8] { tuple(values.map(integer)) }

  static func storage(_ kind: String = "FloatStorage", key: String = "0", count: Int = 16)
    -> [UInt8]
  {
    tuple([string("storage"), global("torch", kind), string(key), string("cpu"), integer(count)])
      + [0x51]
  }

  /// { "t": a view of a storage }
  static func tensor(
    storage: [UInt8] = storage(), offset: Int = 0, shape: [Int] = [4, 4], strides: [Int] = [4, 1]
  ) -> [UInt8] {
    [0x7D] + string("t") + global("torch._utils", "_rebuild_tensor_v2")
      + tuple([storage, integer(offset), integers(shape), integers(strides), [0x89], [0x7D]])
      + [0x52, 0x73, 0x2E]
  }
}
