public import EmberFormat
public import SystemPackage

/// A model file, opened and checked: weights in their places, ready to compute on the mapping.
///
/// ```swift
/// let model = try Model(opening: "model.q4")
/// let session = try InferenceSession(model: model)
/// ```
///
/// A model is immutable and may be shared by any number of sessions and threads.
public final class Model: Sendable {
  public let file: ModelFile
  public let metadata: ModelMetadata
  package let weights: Weights
  /// What of the weights takes how much memory.
  public let inventory: WeightInventory

  public var architecture: Architecture { metadata.architecture }

  /// Maps the file; takes milliseconds whatever its size.
  ///
  /// - Throws: `FormatError` for the file's structure, `ModelError` for its content.
  public convenience init(opening path: FilePath, verifyingChecksums: Bool = false) throws {
    try self.init(file: try ModelFile(opening: path, verifyingChecksums: verifyingChecksums))
  }

  /// - Throws: `ModelError`
  public init(file: ModelFile) throws(ModelError) {
    self.file = file
    metadata = try ModelMetadata(decoding: file.metadata, path: file.path.string)
    weights = try Weights(file: file, architecture: metadata.architecture)
    guard let inventory = WeightInventory(file: file, architecture: metadata.architecture) else {
      // Binding the weights has found every matrix.
      throw .missingTensor(path: file.path.string, name: TensorName.embedding)
    }
    self.inventory = inventory
  }

  /// Bytes of weights that decoding one token reads.
  public var weightBytesPerToken: Int { weights.bytesPerToken }

  /// Bits per weight of the tensors in blocks, scales and outliers included.
  public var bitsPerWeight: Double {
    var bytes = 0
    var count = 0
    for tensor in file.tensors where tensor.layout.type != .f32 {
      bytes += tensor.byteCount
      count += tensor.layout.rows * tensor.layout.columns
    }
    return count == 0 ? 0 : Double(bytes * 8) / Double(count)
  }

  /// Number of weights, vectors included.
  public var parameterCount: Int {
    file.tensors.reduce(0) { $0 + $1.layout.rows * $1.layout.columns }
  }

  /// Bits per weight of the whole file: metadata, tokenizer and padding included.
  public var fileBitsPerWeight: Double { Double(file.fileBytes * 8) / Double(parameterCount) }
}
