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
  /// [contextLength, width], learned positions only.
  package let position: Matrix?
  package private(set) var layers: [Layer]
  package let finalNorm: Norm
  /// [vocabularySize, width]; the embedding where the head is tied.
  package let head: Matrix
  /// The slices of the head; see `Linear.slices`.
  private(set) var headSlices = 0..<0
  /// Norms and biases where they are not in the mapping.
  private(set) var vectors: VectorStore?

  /// Gain and bias of a norm, [width] floats each.
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
    fileprivate(set) var slices = 0..<0
  }

  package struct Layer: @unchecked Sendable {
    package let attentionNorm: Norm
    package fileprivate(set) var query, key, value, attentionOutput: Linear
    package let feedForwardNorm: Norm
    /// Gated feed-forward only.
    package fileprivate(set) var gate: Linear?
    package fileprivate(set) var up, down: Linear
  }
}

extension Weights {
  /// The same weights, to be found in slices.
  ///
  /// - Parameter slices: of each matrix, in the order of the inventory.
  func sliced(_ slices: [Range<Int>]) -> Weights {
    var result = self
    var next = slices.makeIterator()
    func place(_ linear: inout Linear) { linear.slices = next.next() ?? 0..<0 }
    for i in result.layers.indices {
      place(&result.layers[i].query)
      place(&result.layers[i].key)
      place(&result.layers[i].value)
      place(&result.layers[i].attentionOutput)
      place(&result.layers[i].up)
      if var gate = result.layers[i].gate {
        place(&gate)
        result.layers[i].gate = gate
      }
      place(&result.layers[i].down)
    }
    result.headSlices = next.next() ?? 0..<0
    return result
  }
}

extension Weights {
  /// - Parameter readingVectors: reads norms and biases into memory of their own. In the mapping each
  ///   of them makes more resident than itself: the pages around it, or all of a large one of the
  ///   page cache. On Linux 6.18 with ext4 45 norms of 8 kB came to 78 MB.
  /// - Throws: `ModelError.missingTensor`, `.wrongTensor`, `.reading` for vectors
  package init(
    file: ModelFile, architecture a: Architecture, readingVectors: Bool = false
  ) throws(ModelError) {
    let store = readingVectors ? VectorStore() : nil
    let binder = Binder(file: file, store: store)
    embedding = try binder.matrix(TensorName.embedding, rows: a.vocabularySize, columns: a.width)
    position =
      a.position == .learned
      ? try binder.matrix(TensorName.position, rows: a.contextLength, columns: a.width) : nil
    var layers: [Layer] = []
    for i in 0..<a.layerCount { layers.append(try Layer(i, of: a, from: binder)) }
    self.layers = layers
    finalNorm = try Norm(
      TensorName.finalNorm, bias: TensorName.finalNormBias, of: a, from: binder)
    head =
      a.tiedHead
      ? embedding
      : try binder.matrix(TensorName.head, rows: a.vocabularySize, columns: a.width)
    vectors = store
  }

  /// Bytes of weights that one decoded token reads: every matrix and vector once, of the tables of
  /// tokens and positions one row. Rows lie interleaved by 16, so that a row touches the cache lines
  /// of its whole group.
  package var bytesPerToken: Int {
    func bytes(_ norm: Norm, _ width: Int) -> Int { width * (norm.bias == nil ? 4 : 8) }
    let width = embedding.columns
    var sum = head.byteCount + embedding.groupStride + (position?.groupStride ?? 0)
    sum += bytes(finalNorm, width)
    for layer in layers {
      sum += bytes(layer.attentionNorm, width) + bytes(layer.feedForwardNorm, width)
      let matrices = [
        layer.query, layer.key, layer.value, layer.attentionOutput, layer.up, layer.down,
      ]
      for linear in matrices + [layer.gate].compactMap({ $0 }) {
        sum += linear.weight.byteCount + (linear.bias == nil ? 0 : linear.weight.rows * 4)
      }
    }
    return sum
  }
}

/// Finds tensors by name and checks that they are what the architecture says.
private struct Binder: WeightSource {
  let file: ModelFile
  /// Where vectors are read to; nil where they stay in the mapping.
  let store: VectorStore?

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
    if let store {
      do throws(FormatError) {
        return try store.read(record, of: file)
      } catch {
        throw .reading(error)
      }
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

/// Vectors of a model file in memory of their own.
final class VectorStore: @unchecked Sendable {
  // Sendable because nothing changes once the weights are bound.
  private var vectors: [UnsafeMutableRawPointer] = []

  deinit { for vector in vectors { vector.deallocate() } }

  func read(
    _ record: TensorRecord, of file: ModelFile
  ) throws(FormatError) -> UnsafePointer<Float> {
    let vector = UnsafeMutableRawPointer.allocate(byteCount: record.byteCount, alignment: 64)
    vectors.append(vector)
    try file.read(
      into: UnsafeMutableRawBufferPointer(start: vector, count: record.byteCount),
      at: record.offset)
    return UnsafePointer(vector.assumingMemoryBound(to: Float.self))
  }
}
