import EmberFormat

/// Sizes of the model files that a checkpoint can become.
struct FileSize {
  let tensors: [CheckpointTensor]
  /// Of the sections as stored.
  let metadataBytes: Int
  let tokenizerBytes: Int

  /// Weights, vectors included. Each tensor lies in a file: no overflow.
  var weightCount: Int { tensors.reduce(0) { $0 + $1.rows * $1.columns } }

  /// Bytes of the file with these layouts, in the order of the tensors.
  func byteCount(_ layouts: [TensorLayout]) -> Int {
    var extents: [[TensorLayout]] = []
    var last: Substring?
    for (tensor, layout) in zip(tensors, layouts) {
      let name = Converter.extentName(tensor.name)
      if name != last { extents.append([]) }
      last = name
      extents[extents.count - 1].append(layout)
    }
    return ModelFileWriter.byteCount(
      extents: extents, metadataBytes: metadataBytes, tokenizerBytes: tokenizerBytes) ?? .max
  }

  /// Bits per weight of a whole file.
  func bitsPerWeight(_ bytes: Int) -> Double { Double(bytes) * 8 / Double(weightCount) }
}
