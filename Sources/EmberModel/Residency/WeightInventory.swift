public import EmberFormat

/// The weights of a model, as far as memory is concerned: what a token reads, in the order in which
/// it does, and what only has rows looked up.
///
/// It is made from a model file, or from a checkpoint and the types that its tensors would have, so
/// that the memory which a model needs is known before it is converted.
public struct WeightInventory: Sendable, Equatable {
  /// A matrix that every token reads from front to back.
  public struct Matrix: Sendable, Equatable {
    /// First byte in the file; 0 where there is none yet.
    public let offset: Int
    /// Groups of 16 rows, and the bytes of one.
    public let rowGroups, groupStride: Int
    public var byteCount: Int { rowGroups * groupStride }
  }

  /// Those of the layers in the order of the forward pass, then the output head. Experts are none of
  /// them.
  public let matrices: [Matrix]
  /// What is read once for a source: the encoder's matrices in the order of its pass, then those that
  /// make the keys and values of it; empty where there is no encoder.
  public let encoderMatrices: [Matrix]
  /// Experts of all layers, those of the first layer first.
  public let experts: [Expert]
  /// Of a layer's experts, those that a token is given to.
  public let usedExperts: Int
  public let expertsPerLayer: Int
  /// Norms and biases, in bytes.
  public let vectorBytes: Int
  /// Tables that only have rows looked up: of positions, and of tokens where the head is another.
  public let tableBytes: Int
  /// Bytes of the largest row group of the tables, a tied head's included.
  public let tableRowBytes: Int
  /// Metadata and tokenizer as they stay in memory, in bytes.
  public let descriptionBytes: Int

  /// Bytes that every token reads of the matrices, experts apart.
  public var matrixBytes: Int { matrices.reduce(0) { $0 + $1.byteCount } }
  /// Bytes that every source reads of its matrices.
  public var encoderBytes: Int { encoderMatrices.reduce(0) { $0 + $1.byteCount } }

  /// A tensor, as far as it is of use here.
  public struct Tensor: Sendable {
    public let layout: TensorLayout
    public let offset: Int

    public init(layout: TensorLayout, offset: Int) {
      self.layout = layout
      self.offset = offset
    }
  }

  /// - Parameters:
  ///   - tensors: by name; those that the architecture does not need count as vectors.
  ///   - descriptionBytes: of metadata and tokenizer, decompressed.
  /// - Returns: nil where a matrix of the architecture is not there.
  public init?(
    architecture: Architecture, tensors: [String: Tensor], descriptionBytes: Int
  ) {
    var names: [String] = []
    for layer in 0..<architecture.layerCount {
      for matrix in TensorName.Matrix.inOrderOfUse(architecture) {
        names.append(TensorName.weight(matrix, layer: layer))
        if matrix == .attentionOutput, architecture.encoder != nil {
          names.append(TensorName.weight(cross: .query, layer: layer))
          names.append(TensorName.weight(cross: .output, layer: layer))
        }
      }
    }
    names.append(architecture.tiedHead ? TensorName.embedding : TensorName.head)
    let encoderNames = Self.encoderNames(architecture)
    var matrices: [Matrix] = []
    for name in names + encoderNames {
      guard let tensor = tensors[name] else { return nil }
      matrices.append(
        Matrix(
          offset: tensor.offset, rowGroups: tensor.layout.rowGroups,
          groupStride: tensor.layout.rowGroupStride))
    }
    let tables = [TensorName.embedding, TensorName.position].compactMap { tensors[$0] }
    var known = Set(names + encoderNames + [TensorName.embedding, TensorName.position])
    self.matrices = Array(matrices.prefix(names.count))
    encoderMatrices = Array(matrices.dropFirst(names.count))
    guard let experts = Expert.all(of: architecture, among: tensors, known: &known) else {
      return nil
    }
    self.experts = experts
    usedExperts = architecture.feedForward.experts?.used ?? 0
    expertsPerLayer = architecture.feedForward.experts?.count ?? 0
    vectorBytes = tensors.reduce(0) {
      $0 + (known.contains($1.key) ? 0 : $1.value.layout.byteCount)
    }
    tableBytes = [TensorName.embedding, TensorName.position].reduce(0) { sum, name in
      sum + (names.contains(name) ? 0 : tensors[name]?.layout.byteCount ?? 0)
    }
    tableRowBytes = tables.map(\.layout.rowGroupStride).max() ?? 0
    self.descriptionBytes = descriptionBytes
  }

  /// Of a file whose weights were bound to the architecture before, so that all are there.
  init?(file: ModelFile, architecture: Architecture) {
    let tensors = file.tensors.map { ($0.name, Tensor(layout: $0.layout, offset: $0.offset)) }
    self.init(
      architecture: architecture, tensors: Dictionary(tensors) { first, _ in first },
      descriptionBytes: file.metadata.count + file.tokenizer.count)
  }
}

extension TensorName.Matrix {
  /// As the forward pass goes through a layer.
  static func inOrderOfUse(_ architecture: Architecture) -> [Self] {
    let heads: [Self] = [.query, .key, .value]
    let block: [Self] =
      switch (architecture.residual, architecture.feedForward.experts) {
      case (.sequential, nil): [.attentionOutput, .up, .gate, .down]
      case (.parallel, nil): [.up, .gate, .attentionOutput, .down]
      // The shared expert is done with before the experts' outputs are added.
      case (.sequential, _): [.attentionOutput, .router, .up, .gate, .sharedGate, .down]
      case (.parallel, _): [.router, .up, .gate, .sharedGate, .down, .attentionOutput]
      }
    return (heads + block).filter { architecture.has($0) }
  }
}
