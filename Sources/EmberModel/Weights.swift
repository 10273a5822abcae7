package import EmberFormat
package import EmberKernels

/// A model file's tensors, bound to their places in the architecture.
///
/// Everything here is a view of the mapped file: nothing is copied.
package struct Weights: @unchecked Sendable {
  // Sendable because the mapping is never written.

  /// [vocabularySize, width]
  package let embedding: Matrix
  /// [contextLength, width], learned positions only.
  package let position: Matrix?
  package let layers: [Layer]
  package let finalNorm: Norm
  /// [vocabularySize, width]; the embedding where the head is tied.
  package let head: Matrix

  /// Gain and bias of a norm, [width] floats each.
  package struct Norm {
    package let gain: UnsafePointer<Float>
    package let bias: UnsafePointer<Float>?
  }

  /// A matrix and the bias that is added to its product, [rows] floats.
  package struct Linear {
    package let weight: Matrix
    package let bias: UnsafePointer<Float>?
  }

  package struct Layer {
    package let attentionNorm: Norm
    package let query, key, value, attentionOutput: Linear
    package let feedForwardNorm: Norm
    /// Gated feed-forward only.
    package let gate: Linear?
    package let up, down: Linear
  }

  /// - Throws: `ModelError.missingTensor`, `.wrongTensor`
  package init(file: ModelFile, architecture a: Architecture) throws(ModelError) {
    let binder = Binder(file: file)
    let queryWidth = a.attention.headCount * a.attention.headDimension
    let keyWidth = a.attention.keyValueHeadCount * a.attention.headDimension
    embedding = try binder.matrix(TensorName.embedding, a.vocabularySize, a.width)
    position =
      a.position == .learned
      ? try binder.matrix(TensorName.position, a.contextLength, a.width) : nil
    func norm(_ weight: String, _ bias: String) throws(ModelError) -> Norm {
      Norm(
        gain: try binder.vector(weight, a.width),
        bias: a.norm.kind == .layer ? try binder.optionalVector(bias, a.width) : nil)
    }
    var layers: [Layer] = []
    for i in 0..<a.layerCount {
      func linear(
        _ matrix: TensorName.Matrix, _ rows: Int, _ columns: Int
      ) throws(ModelError) -> Linear {
        Linear(
          weight: try binder.matrix(TensorName.weight(matrix, layer: i), rows, columns),
          bias: try binder.optionalVector(TensorName.bias(matrix, layer: i), rows))
      }
      layers.append(
        Layer(
          attentionNorm: try norm(
            TensorName.weight(.attention, layer: i), TensorName.bias(.attention, layer: i)),
          query: try linear(.query, queryWidth, a.width),
          key: try linear(.key, keyWidth, a.width),
          value: try linear(.value, keyWidth, a.width),
          attentionOutput: try linear(.attentionOutput, a.width, queryWidth),
          feedForwardNorm: try norm(
            TensorName.weight(.feedForward, layer: i), TensorName.bias(.feedForward, layer: i)),
          gate: a.feedForward.kind == .gated
            ? try linear(.gate, a.feedForwardWidth, a.width) : nil,
          up: try linear(.up, a.feedForwardWidth, a.width),
          down: try linear(.down, a.width, a.feedForwardWidth)))
    }
    self.layers = layers
    finalNorm = try norm(TensorName.finalNorm, TensorName.finalNormBias)
    head = a.tiedHead ? embedding : try binder.matrix(TensorName.head, a.vocabularySize, a.width)
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
private struct Binder {
  let file: ModelFile

  func matrix(_ name: String, _ rows: Int, _ columns: Int) throws(ModelError) -> Matrix {
    let record = try self.record(name)
    let layout = record.layout
    let type: MatrixType? =
      switch layout.type {
      case .f16: .f16
      case .q8: .q8
      case .q4: .q4
      case .f32: nil
      }
    guard let type, layout.rows == rows, layout.columns == columns,
      let base = file.bytes(of: record).baseAddress
    else { throw mismatch(record, "an interleaved matrix of [\(rows), \(columns)]") }
    return Matrix(
      type: type, rows: rows, columns: columns, outlierSteps: layout.outlierSteps, data: base)
  }

  func optionalVector(_ name: String, _ count: Int) throws(ModelError) -> UnsafePointer<Float>? {
    file.tensor(named: name) == nil ? nil : try vector(name, count)
  }

  func vector(_ name: String, _ count: Int) throws(ModelError) -> UnsafePointer<Float> {
    let record = try self.record(name)
    guard record.layout.type == .f32, record.layout.rows == 1, record.layout.columns == count,
      let base = file.bytes(of: record).baseAddress
    else { throw mismatch(record, "an f32 vector of [1, \(count)]") }
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
