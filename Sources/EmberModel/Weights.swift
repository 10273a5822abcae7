package import EmberFormat
package import EmberKernels

/// A model file's tensors, bound to their places in the architecture.
///
/// Everything here is a view, of the mapped file or of what another source keeps in memory: nothing
/// is copied.
package struct Weights: @unchecked Sendable {
  // Sendable, and its parts likewise, because the memory behind it is never written.

  /// [vocabularySize, width]
  package let embedding: Matrix
  package let embeddingNorm: Norm?
  /// [contextLength, width], learned positions only.
  package let position: Matrix?
  package internal(set) var layers: [Layer]
  package let finalNorm: Norm?
  /// [vocabularySize, width]; the embedding where the head is tied.
  package fileprivate(set) var head: Linear
  /// Of a decoder that attends to a source, one for each of its layers; else empty.
  package internal(set) var cross: [Cross] = []
  /// [buckets][headCount], relative biases only.
  package private(set) var relativeBias: UnsafePointer<Float>? = nil

  /// Gain and bias of a norm, [width] floats each, or [headDimension].
  package struct Norm: @unchecked Sendable {
    package let gain: UnsafePointer<Float>
    package let bias: UnsafePointer<Float>?
  }

  /// A matrix and the bias that is added to its product, [rows] floats.
  package struct Linear: @unchecked Sendable {
    package let weight: Matrix
    package let bias: UnsafePointer<Float>?
    /// Where the weights are pinned or stream: which slices of the stream they are. Empty where
    /// they are computed on where `weight` says.
    var slices = 0..<0
  }

  package struct Layer: @unchecked Sendable {
    /// Whether a token sees only the positions of the architecture's window.
    package let isLocal: Bool
    package let attentionNorm: Norm?
    package fileprivate(set) var query, key, value: Linear
    /// Of each head, [headDimension].
    package let queryNorm, keyNorm: Norm?
    package fileprivate(set) var attentionOutput: Linear
    /// Of what the block adds, and of the stream behind it.
    package let attentionOutputNorm, attentionSumNorm: Norm?
    package let feedForwardNorm: Norm?
    /// Gated feed-forward only.
    package fileprivate(set) var gate: Linear?
    package fileprivate(set) var up, down: Linear
    /// In place of a feed-forward block, or beside it; then that is the shared expert's, or nothing.
    package fileprivate(set) var mixture: Mixture?
    package let feedForwardOutputNorm, feedForwardSumNorm: Norm?

    package var norms: [Norm] {
      [
        attentionNorm, queryNorm, keyNorm, attentionOutputNorm, attentionSumNorm, feedForwardNorm,
        feedForwardOutputNorm, feedForwardSumNorm,
      ].compactMap { $0 }
    }

    /// All but the experts'.
    var linears: [Linear] {
      [query, key, value, attentionOutput, up, down]
        + [gate, mixture?.router, mixture?.sharedGate].compactMap { $0 }
    }
  }
}

extension Weights {
  /// The same weights, to be found in slices.
  ///
  /// - Parameter slices: of each matrix, in the order of the inventory.
  func sliced(_ slices: [Range<Int>], of architecture: Architecture) -> Weights {
    var result = self
    var next = slices.makeIterator()
    for i in result.layers.indices {
      for matrix in TensorName.Matrix.inOrderOfUse(architecture) {
        result.layers[i].place(matrix, in: &next)
        if matrix == .attentionOutput, i < result.cross.count {
          result.cross[i].placeReaders(in: &next)
        }
      }
    }
    result.head.slices = next.next() ?? 0..<0
    return result
  }
}

extension Weights.Layer {
  mutating func place(
    _ matrix: TensorName.Matrix, in slices: inout IndexingIterator<[Range<Int>]>
  ) {
    let range = slices.next() ?? 0..<0
    switch matrix {
    case .query: query.slices = range
    case .key: key.slices = range
    case .value: value.slices = range
    case .attentionOutput: attentionOutput.slices = range
    case .gate: gate?.slices = range
    case .up: up.slices = range
    case .down: down.slices = range
    case .router: mixture?.router.slices = range
    case .sharedGate: mixture?.sharedGate?.slices = range
    }
  }
}

extension Weights {
  /// - Throws: `ModelError.missingTensor`, `.wrongTensor`
  package init(file: ModelFile, architecture: Architecture) throws(ModelError) {
    try self.init(file: file, architecture: architecture, vectors: nil)
  }

  /// - Parameter vectors: where norms and biases are taken from; by default the mapping.
  init(
    file: ModelFile, architecture a: Architecture, vectors: PrivateVectors?
  ) throws(ModelError) {
    let binder = Binder(file: file, vectors: vectors)
    embedding = try binder.matrix(TensorName.embedding, rows: a.vocabularySize, columns: a.width)
    embeddingNorm = try Norm(
      TensorName.embeddingNorm, bias: TensorName.embeddingNormBias, of: a, from: binder)
    position =
      a.position == .learned
      ? try binder.matrix(TensorName.position, rows: a.contextLength, columns: a.width) : nil
    var layers: [Layer] = []
    for i in 0..<a.layerCount { layers.append(try Layer(i, of: a, from: binder)) }
    self.layers = layers
    finalNorm = try Norm(
      TensorName.finalNorm, bias: TensorName.finalNormBias, of: a, from: binder)
    head = Linear(
      weight: a.tiedHead
        ? embedding
        : try binder.matrix(TensorName.head, rows: a.vocabularySize, columns: a.width),
      bias: try binder.optionalVector(TensorName.headBias, count: a.vocabularySize))
    relativeBias = try Self.relativeBias(of: a, from: binder)
    cross = try Self.cross(of: a, from: binder)
  }

  /// The encoder of an encoder–decoder, and the matrices that make keys and values of the source; the
  /// head is none.
  init(
    encoderOf a: Architecture, _ encoder: Architecture, file: ModelFile, vectors: PrivateVectors?
  ) throws(ModelError) {
    let binder = Binder(file: file, vectors: vectors)
    let own = EncoderSource(base: binder)
    embedding = try binder.matrix(TensorName.embedding, rows: a.vocabularySize, columns: a.width)
    position = nil
    embeddingNorm = try Norm(
      TensorName.embeddingNorm, bias: TensorName.embeddingNormBias, of: encoder, from: own)
    var layers: [Layer] = []
    for i in 0..<encoder.layerCount { layers.append(try Layer(i, of: encoder, from: own)) }
    self.layers = layers
    finalNorm = try Norm(
      TensorName.finalNorm, bias: TensorName.finalNormBias, of: encoder, from: own)
    head = Linear(weight: embedding, bias: nil)
    relativeBias = try Self.relativeBias(of: encoder, from: own)
    cross = try Self.cross(of: a, from: binder)
  }

  /// Bytes of weights that one decoded token reads: every matrix and vector once, of the tables of
  /// tokens and positions one row. Rows lie interleaved by 16, so that a row touches the cache lines
  /// of its whole group.
  package var bytesPerToken: Int {
    func bytes(_ norm: Norm, _ width: Int) -> Int { width * (norm.bias == nil ? 4 : 8) }
    let width = embedding.columns
    var sum = head.weight.byteCount + embedding.groupStride + (position?.groupStride ?? 0)
    sum += [finalNorm, embeddingNorm].reduce(0) { $0 + ($1.map { bytes($0, width) } ?? 0) }
    for layer in layers {
      // Those of single heads are shorter, and few.
      sum += layer.norms.reduce(0) { $0 + bytes($1, width) }
      for linear in layer.linears {
        sum += linear.weight.byteCount + (linear.bias == nil ? 0 : linear.weight.rows * 4)
      }
      sum += layer.mixture?.expertBytesPerToken ?? 0
    }
    return cross.reduce(sum) { $0 + $1.readerBytes }
  }

  /// Whether any matrix has weights that are kept apart from its blocks.
  var haveOutliers: Bool {
    func has(_ matrix: Matrix) -> Bool { matrix.outlierSteps > 0 }
    return has(head.weight)
      || layers.contains { layer in
        layer.linears.contains { has($0.weight) }
          || layer.mixture?.experts.contains { has($0.gate) || has($0.up) || has($0.down) } == true
      }
      || cross.contains { block in
        [block.query, block.key, block.value, block.output].contains { has($0.weight) }
      }
  }
}

/// Finds tensors by name and checks that they are what the architecture says.
struct Binder: WeightSource {
  let file: ModelFile
  let vectors: PrivateVectors?

  func matrix(_ name: String, rows: Int, columns: Int) throws(ModelError) -> Matrix {
    let record = try self.record(name)
    let layout = record.layout
    let type: MatrixType? =
      switch layout.type {
      case .f16: .f16
      case .q8: .q8
      case .q4: .q4
      case .q4n: .q4n
      case .q5: .q5
      case .q6: .q6
      case .f32: nil
      }
    guard let type, layout.rows == rows, layout.columns == columns,
      let base = file.bytes(of: record).baseAddress
    else { throw mismatch(record, "an interleaved matrix of [\(rows), \(columns)]") }
    return Matrix(
      type: type, rows: rows, columns: columns, outlierSteps: layout.outlierSteps, data: base)
  }

  func optionalVector(
    _ name: String, count: Int
  ) throws(ModelError) -> UnsafePointer<Float>? {
    file.tensor(named: name) == nil ? nil : try vector(name, count: count)
  }

  func vector(_ name: String, count: Int) throws(ModelError) -> UnsafePointer<Float> {
    let record = try self.record(name)
    guard record.layout.type == .f32, record.layout.rows == 1, record.layout.columns == count,
      let base = file.bytes(of: record).baseAddress
    else { throw mismatch(record, "an f32 vector of [1, \(count)]") }
    if let vectors {
      guard let copy = vectors[name] else {
        throw .missingTensor(path: file.path.string, name: name)
      }
      return copy
    }
    // The file keeps tensors 64-byte aligned and the mapping starts at a page.
    return base.assumingMemoryBound(to: Float.self)
  }

  private func record(_ name: String) throws(ModelError) -> TensorRecord {
    guard let record = file.tensor(named: name) else {
      throw .missingTensor(path: file.path.string, name: name)
    }
    return record
  }

  private func mismatch(_ record: TensorRecord, _ expected: String) -> ModelError {
    let layout = record.layout
    return .wrongTensor(
      path: file.path.string, name: record.name, expected: expected,
      found: "\(layout.type.name) [\(layout.rows), \(layout.columns)]")
  }
}
