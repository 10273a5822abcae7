import EmberModel

/// What an architecture is described from: the metadata, and which tensors there are.
struct GGUFModel: Sendable {
  let metadata: GGUFMetadata
  let tensors: StoredTensors

  /// Rows of the embedding table, which metadata rarely says.
  func vocabularySize() throws(CheckpointError) -> Int {
    guard let table = tensors["token_embd.weight"] else {
      throw .missingTensor(path: metadata.path, tensor: "token_embd.weight")
    }
    guard table.shape.count == 2 else {
      throw .wrongShape(
        path: metadata.path, tensor: "token_embd.weight",
        expected: [table.shape[0], try metadata.count("embedding_length")], found: table.shape)
    }
    return table.shape[0]
  }

  /// Whether the head is the embedding table: files leave it out then.
  var tiedHead: Bool { tensors["output.weight"] == nil }

  /// The heads, with a dimension of their own where the file gives one.
  func attention(width: Int) throws(CheckpointError) -> Architecture.Attention {
    let heads = try metadata.count("attention.head_count")
    let keyValueHeads = try metadata.count("attention.head_count_kv", default: heads)
    guard heads % keyValueHeads == 0 else {
      throw metadata.invalid(
        "attention.head_count_kv", expected: "a divisor of attention.head_count (\(heads))")
    }
    if metadata.value("attention.key_length") == nil, width % heads != 0 {
      throw metadata.invalid(
        "attention.head_count", expected: "a divisor of embedding_length (\(width))")
    }
    let dimension = try metadata.count("attention.key_length", default: max(width / heads, 1))
    try metadata.require("attention.value_length", .integer(dimension))
    guard heads <= HuggingFaceConfiguration.countLimit / dimension else {
      throw metadata.invalid(
        "attention.head_count", expected: "with heads of \(dimension) a width below 2^31")
    }
    return .init(headCount: heads, keyValueHeadCount: keyValueHeads, headDimension: dimension)
  }

  /// The norm, whose epsilon stands under a key that says which.
  func norm() throws(CheckpointError) -> Architecture.Norm {
    if let epsilon = try metadata.positive("attention.layer_norm_rms_epsilon") {
      return .init(kind: .rootMeanSquare, epsilon: epsilon)
    }
    guard let epsilon = try metadata.positive("attention.layer_norm_epsilon") else {
      throw .missingKey(
        path: metadata.path, key: "\(metadata.architecture).attention.layer_norm_epsilon")
    }
    return .init(kind: .layer, epsilon: epsilon)
  }
}
