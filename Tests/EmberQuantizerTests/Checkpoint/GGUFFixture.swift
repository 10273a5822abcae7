/// GGUF files, byte by byte, as nobody would write them.
struct GGUFFixture {
  var version: UInt32 = 3
  /// Keys with the bytes of type and value.
  var metadata: [(key: String, value: [UInt8])] = []
  var tensors: [Tensor] = []
  /// Counts in the header, nil for the true ones.
  var tensorCount: UInt64?
  var keyCount: UInt64?
  var data: [UInt8] = []

  struct Tensor {
    var name: String
    var dimensions: [UInt64]
    var type: UInt32 = 0
    var offset: UInt64 = 0
    var rank: UInt32?
  }

  static func little(_ value: UInt64, _ count: Int) -> [UInt8] { TorchFixture.little(value, count) }
  static func text(_ text: String) -> [UInt8] {
    little(UInt64(text.utf8.count), 8) + Array(text.utf8)
  }
  static func string(_ value: String) -> [UInt8] { little(8, 4) + text(value) }
  static func uint32(_ value: UInt32) -> [UInt8] { little(4, 4) + little(UInt64(value), 4) }
  static func float32(_ value: Float) -> [UInt8] {
    little(6, 4) + little(UInt64(value.bitPattern), 4)
  }
  /// An array, type of its elements, announced count, bytes.
  static func array(_ type: UInt64, _ count: UInt64, _ bytes: [UInt8] = []) -> [UInt8] {
    little(9, 4) + little(type, 4) + little(count, 8) + bytes
  }

  var bytes: [UInt8] {
    var file = Array("GGUF".utf8) + Self.little(UInt64(version), 4)
    file += Self.little(tensorCount ?? UInt64(tensors.count), 8)
    file += Self.little(keyCount ?? UInt64(metadata.count), 8)
    for (key, value) in metadata { file += Self.text(key) + value }
    for tensor in tensors {
      file += Self.text(tensor.name)
      file += Self.little(UInt64(tensor.rank ?? UInt32(tensor.dimensions.count)), 4)
      for size in tensor.dimensions { file += Self.little(size, 8) }
      file += Self.little(UInt64(tensor.type), 4) + Self.little(tensor.offset, 8)
    }
    return file + [UInt8](repeating: 0, count: (32 - file.count % 32) % 32) + data
  }
}
