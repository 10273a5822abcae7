import EmberModel

/// Where a llama2.c file of version 0 stores each tensor.
///
/// Tensors of one kind lie together for all layers: all attention norms, then all queries, and so
/// on. Source: `memory_map_weights` in run.c.
struct Llama2CLayout {
  /// What follows the header, one section after the other.
  private enum Section: Int, CaseIterable {
    case embedding, attentionNorm, query, key, value, attentionOutput
    case feedForwardNorm, gate, down, up
    case finalNorm, rotaryTables, head
  }

  private let header: Llama2CHeader
  /// Bytes from the file's start to each section, and to the file's end.
  private var starts: [Int] = [Llama2CHeader.size]

  /// Bytes of a file with this header.
  var fileSize: Int { starts[Section.allCases.count] }

  /// Nil where the size does not fit in 64 bits: no file has it.
  init?(_ header: Llama2CHeader) {
    self.header = header
    for section in Section.allCases {
      var bytes = MemoryLayout<Float>.size
      for factor in factors(of: section) {
        let (product, overflow) = bytes.multipliedReportingOverflow(by: factor)
        guard !overflow else { return nil }
        bytes = product
      }
      let (end, overflow) = starts[starts.count - 1].addingReportingOverflow(bytes)
      guard !overflow else { return nil }
      starts.append(end)
    }
  }

  /// The dimensions of a section, whose product is its number of floats.
  private func factors(of section: Section) -> [Int] {
    let width = header.width
    let layers = header.layerCount
    switch section {
    case .embedding: return [header.vocabularySize, width]
    case .attentionNorm, .feedForwardNorm: return [layers, width]
    case .query, .attentionOutput: return [layers, width, width]
    case .key, .value: return [layers, header.keyValueWidth, width]
    case .gate, .up, .down: return [layers, header.feedForwardWidth, width]
    case .finalNorm: return [width]
    // Cosines and sines of every position: computed anew by every reader, so skipped.
    case .rotaryTables: return [header.contextLength, header.headDimension]
    case .head: return header.tiedHead ? [0] : [header.vocabularySize, width]
    }
  }

  /// The tensors, canonical names and order, of a file that has `fileSize` bytes.
  func tensors(of architecture: Architecture, in file: CheckpointFile) -> [CheckpointTensor] {
    let width = header.width
    func tensor(
      _ name: String, _ section: Section, _ stored: String, rows: Int, columns: Int, layer: Int = 0
    ) -> CheckpointTensor {
      CheckpointTensor(
        name: name, rows: rows, columns: columns, storedName: stored,
        storage: StoredMatrix(
          file: file,
          offset: starts[section.rawValue] + layer * rows * columns * MemoryLayout<Float>.size,
          type: .float32, layout: .rowMajor, columns: columns))
    }
    func norm(_ norm: TensorName.Norm, _ layer: Int) -> CheckpointTensor {
      let (section, stored): (Section, String) =
        norm == .attention
        ? (.attentionNorm, "rms_att_weight") : (.feedForwardNorm, "rms_ffn_weight")
      return tensor(
        TensorName.weight(norm, layer: layer), section, "\(stored)[\(layer)]", rows: 1,
        columns: width, layer: layer)
    }
    typealias Stored = (matrix: TensorName.Matrix, section: Section, name: String)
    let attention: [Stored] = [
      (.query, .query, "wq"), (.key, .key, "wk"), (.value, .value, "wv"),
      (.attentionOutput, .attentionOutput, "wo"),
    ]
    let feedForward: [Stored] = [(.gate, .gate, "w1"), (.up, .up, "w3"), (.down, .down, "w2")]
    func matrix(_ stored: Stored, _ layer: Int) -> CheckpointTensor {
      tensor(
        TensorName.weight(stored.matrix, layer: layer), stored.section,
        "\(stored.name)[\(layer)]", rows: architecture.outputs(of: stored.matrix),
        columns: architecture.inputs(of: stored.matrix), layer: layer)
    }

    var tensors = [
      tensor(
        TensorName.embedding, .embedding, "token_embedding_table", rows: header.vocabularySize,
        columns: width)
    ]
    for layer in 0..<header.layerCount {
      tensors.append(norm(.attention, layer))
      for stored in attention { tensors.append(matrix(stored, layer)) }
      tensors.append(norm(.feedForward, layer))
      for stored in feedForward { tensors.append(matrix(stored, layer)) }
    }
    tensors.append(
      tensor(TensorName.finalNorm, .finalNorm, "rms_final_weight", rows: 1, columns: width))
    if !header.tiedHead {
      tensors.append(
        tensor(TensorName.head, .head, "wcls", rows: header.vocabularySize, columns: width))
    }
    return tensors
  }
}
