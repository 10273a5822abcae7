import EmberFormat
import EmberTokenizer
import SystemPackage

/// Writes safetensors: the length of a header, the header in JSON, the tensors one after the other
/// (<https://huggingface.co/docs/safetensors>).
enum SafetensorsOutput {
  /// Writes one file, or several with an index.
  ///
  /// - Returns: the names and bytes of the files.
  static func write(
    _ tensors: [ExportTensor], to folder: FilePath, shardBytes: Int, _ output: inout TensorOutput
  ) throws -> [(String, Int)] {
    let shards = shards(tensors, bytes: shardBytes)
    if shards.count == 1 {
      let name = HuggingFaceReader.weightsName
      return [(name, try write(tensors, to: folder.appending(name), &output))]
    }
    var files: [(String, Int)] = []
    for (index, shard) in shards.enumerated() {
      let name = "model-\(padded(index + 1))-of-\(padded(shards.count)).safetensors"
      files.append((name, try write(shard, to: folder.appending(name), &output)))
    }
    let index = self.index(shards, names: files.map { $0.0 })
    try FileReplacement.write(index, to: folder.appending(SafetensorsWeights.indexName))
    files.append((SafetensorsWeights.indexName, index.count))
    return files
  }

  /// Whether a file of a folder would be taken for weights, beside others.
  static func isWeights(_ name: String) -> Bool {
    name.hasSuffix(".safetensors") || name == SafetensorsWeights.indexName
      || name.hasPrefix("pytorch_model")
  }

  private static func padded(_ number: Int) -> String {
    let digits = String(number)
    return String(repeating: "0", count: max(0, 5 - digits.count)) + digits
  }

  private static func shards(_ tensors: [ExportTensor], bytes: Int) -> [[ExportTensor]] {
    var shards: [[ExportTensor]] = [[]]
    var size = 0
    for tensor in tensors {
      if size + tensor.byteCount > bytes, !shards[shards.count - 1].isEmpty {
        shards.append([])
        size = 0
      }
      shards[shards.count - 1].append(tensor)
      size += tensor.byteCount
    }
    return shards
  }

  private static func index(_ shards: [[ExportTensor]], names: [String]) -> [UInt8] {
    var text = JSONText()
    text.object { text in
      text.key("metadata")
      text.object { text in
        text.key("total_size")
        text.integer(shards.joined().reduce(0) { $0 + $1.byteCount })
      }
      text.key("weight_map")
      text.object { text in
        for (shard, name) in zip(shards, names) {
          for tensor in shard {
            text.key(tensor.name)
            text.string(name)
          }
        }
      }
    }
    return text.bytes
  }

  private static func write(
    _ tensors: [ExportTensor], to path: FilePath, _ output: inout TensorOutput
  ) throws -> Int {
    var file = BufferedOutput(try TemporaryFile(replacing: path), at: 0)
    var header = header(tensors)
    // Readers map the file: tensors begin at a multiple of 8.
    while header.count % 8 != 0 { header.append(UInt8(ascii: " ")) }
    try file.append(LittleEndianBytes.of(UInt64(header.count)) + header)
    for tensor in tensors { try output.write(tensor, to: &file) }
    return try file.commit()
  }

  private static func header(_ tensors: [ExportTensor]) -> [UInt8] {
    var text = JSONText()
    text.object { text in
      text.key("__metadata__")
      text.object { text in
        text.key("format")
        text.string("pt")
      }
      var offset = 0
      for tensor in tensors {
        text.key(tensor.name)
        text.object { text in
          text.key("dtype")
          text.string(tensor.type == .float32 ? "F32" : "F16")
          text.key("shape")
          text.array { for size in tensor.shape { $0.integer(size) } }
          text.key("data_offsets")
          text.array {
            $0.integer(offset)
            $0.integer(offset + tensor.byteCount)
          }
        }
        offset += tensor.byteCount
      }
    }
    return text.bytes
  }
}

/// Whole numbers in the order of bytes that these formats have.
enum LittleEndianBytes {
  static func of<Value: FixedWidthInteger>(_ value: Value) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian) { Array($0) }
  }
}
