/// The tensors of a checkpoint by the names that it gives them, whatever kind of file holds them.
///
/// Safetensors, PyTorch's pickles and GGUF fill it; what a name means is the business of the
/// architecture, which looks for its own among these.
struct StoredTensors: Sendable {
  /// The kind of file, as the provenance of a model says it, such as `safetensors`.
  let format: String
  /// The files that hold the weights, sorted by name.
  let files: [CheckpointFile]
  let tensors: [String: StoredTensor]

  subscript(name: String) -> StoredTensor? { tensors[name] }
}

/// Where one tensor lies and how it is written. All its elements lie within the file, in whole
/// blocks along the fastest dimension: whoever makes a value has checked that.
struct StoredTensor: Sendable {
  let file: CheckpointFile
  /// Of the first element, from the file's start.
  let offset: Int
  /// The element type; nil where it is one that Ember does not read.
  let type: StoredType?
  /// The element type as the file calls it.
  let typeName: String
  /// Dimensions, the slowest first: [outputs, inputs] for a linear layer.
  let shape: [Int]
  /// Whether the two dimensions are stored in the other order: column after column. Never where
  /// elements come in blocks.
  var isTransposed = false
}

extension StoredTensor {
  /// The matrix of [outputs, columns] in a tensor of [outputs, inputs] or [inputs, outputs], or the
  /// row of so many columns in a tensor of one dimension. In [stacks, outputs, inputs] outputs count
  /// through all stacks.
  ///
  /// - Parameters:
  ///   - type: of the elements.
  ///   - order: of the two dimensions of `shape`.
  ///   - firstOutput: the first of `shape`'s outputs that is ours.
  func matrix(
    of type: StoredType, columns: Int, order: TensorNameMap.Order, firstOutput: Int
  ) -> StoredMatrix {
    let isRowMajor = shape.count == 1 || (order == .outputsByInputs) != isTransposed
    let outputs = order == .outputsByInputs ? shape[0] : shape[shape.count - 1]
    // Of a vector a part may be asked for, too.
    let skipped = firstOutput * (isRowMajor && shape.count > 1 ? columns : 1)
    return StoredMatrix(
      file: file, offset: offset + skipped / type.blockElements * type.blockBytes, type: type,
      layout: isRowMajor ? .rowMajor : .columnMajor(stride: outputs), columns: columns)
  }
}
