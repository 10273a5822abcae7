import EmberFormat
import EmberKernels

/// Where a forward pass finds the weights that it does not compute on in the mapped file.
struct Residency: Sendable {
  /// nil where all matrices are in the mapping.
  var stream: WeightStream?
  /// Likewise of what is read once for a source.
  var encoderStream: WeightStream?
  /// nil where all experts are in the mapping, or there are none.
  var experts: ExpertStore?
  /// nil where norms and biases are in the mapping, too.
  var vectors: PrivateVectors?
  /// nil where tables are in the mapping, too.
  var tables: Tables?

  static let mapped = Residency()

  /// The tables of which rows are looked up.
  struct Tables: Sendable {
    let embedding: TableRows
    let position: TableRows?

    /// nil where the file has no table of tokens, which binding the weights has excluded.
    init?(of model: Model) {
      func rows(_ name: String, _ matrix: Matrix?) -> TableRows? {
        guard let matrix, let record = model.file.tensor(named: name) else { return nil }
        return TableRows(record, matrix: matrix, of: model.file)
      }
      guard let embedding = rows(TensorName.embedding, model.weights.embedding) else { return nil }
      self.embedding = embedding
      position = rows(TensorName.position, model.weights.position)
    }
  }

  /// Takes the memory of a plan; nothing is read yet.
  ///
  /// - Throws: `ModelError.outOfMemory`
  init(of model: Model, plan: MemoryPlan) throws(ModelError) {
    if plan.weights == .mapped {
      self = .mapped
      return
    }
    tables = Tables(of: model)
    if plan.weights == .streamed {
      vectors = try PrivateVectors(of: model.file)
      let slotBytes = WeightSlices.slotBytes(model.inventory, sliceBytes: plan.sliceBytes)
      stream = try WeightStream(
        WeightSlices(model.inventory, sliceBytes: plan.sliceBytes, pinnable: plan.pinnableBytes),
        of: model.file, slots: plan.slots, slotBytes: slotBytes,
        room: CacheRoom(of: model, plan: plan).free)
      if !model.inventory.experts.isEmpty {
        experts = try ExpertStore(model.inventory, of: model.file, slots: plan.expertSlots)
      }
      if let encoder = model.inventory.encoder {
        encoderStream = try WeightStream(
          WeightSlices(encoder, sliceBytes: plan.sliceBytes, pinnable: 0),
          of: model.file, slots: plan.slots,
          slotBytes: WeightSlices.slotBytes(encoder, sliceBytes: plan.sliceBytes))
      }
    }
  }

  private init() {}

  /// The weights, where a forward pass finds them.
  func weights(of model: Model) throws(ModelError) -> Weights {
    guard let stream else { return model.weights }
    let weights = try Weights(
      file: model.file, architecture: model.architecture, vectors: vectors)
    return weights.sliced(stream.slices.ofMatrix, of: model.architecture)
  }

  /// Where a pass over a source finds what it computes on.
  var ofEncoder: Residency {
    var result = self
    result.stream = encoderStream
    return result
  }

  /// The weights of an encoder, where its pass finds them; nil where there is none.
  func encoderWeights(of model: Model) throws(ModelError) -> Weights? {
    guard let encoder = model.architecture.encoderArchitecture else { return nil }
    let weights = try Weights(
      encoderOf: model.architecture, encoder, file: model.file, vectors: vectors)
    guard let encoderStream else { return weights }
    return weights.slicedEncoder(encoderStream.slices.ofMatrix, of: encoder)
  }

  /// What could not be read so far.
  var failure: FormatError? {
    stream?.failure ?? encoderStream?.failure ?? experts?.failure ?? tables?.embedding.failure
      ?? tables?.position?.failure
  }

  /// Bytes read from the file so far: slices that stream, experts, and rows of tables.
  var bytesRead: Int {
    (stream?.bytesStreamed ?? 0) + (encoderStream?.bytesStreamed ?? 0)
      + (experts?.statistics.bytesRead ?? 0)
      + (tables?.embedding.bytesRead ?? 0)
      + (tables?.position?.bytesRead ?? 0)
  }
}
