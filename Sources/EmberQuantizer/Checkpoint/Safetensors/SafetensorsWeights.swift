import SystemPackage

/// The tensors of a checkpoint in one safetensors file or several.
enum SafetensorsWeights {
  static let indexName = "model.safetensors.index.json"

  /// The types that are weights; what the others say, the file's header checks all the same.
  private static let types: [String: StoredType] = [
    "F64": .float64, "F32": .float32, "F16": .float16, "BF16": .brainFloat16,
  ]

  /// Opens a single file.
  static func open(file path: FilePath) throws(CheckpointError) -> StoredTensors {
    let shard = try SafetensorsFile(opening: path)
    return StoredTensors(
      format: "safetensors", files: [shard.file],
      tensors: shard.header.records.mapValues { record in
        StoredTensor(
          file: shard.file, offset: shard.dataOffset + record.range.lowerBound,
          type: types[record.type], typeName: record.type, shape: record.shape)
      })
  }

  /// Opens the shards that an index lists; they lie beside it.
  static func open(index path: FilePath) throws(CheckpointError) -> StoredTensors {
    try ShardIndex(opening: path).openShards { path throws(CheckpointError) in
      try open(file: path)
    }
  }
}
