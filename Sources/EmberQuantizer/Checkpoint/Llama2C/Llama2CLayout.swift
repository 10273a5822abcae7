import EmberModel

/// Where a llama2.c file stores each tensor.
///
/// Tensors of one kind lie together for all layers: all attention norms, then all queries, and so
/// on. In version 2 the matrices are int8, each followed by its scales. Source: `memory_map_weights`
/// in run.c and runq.c.
struct Llama2CLayout {
  private enum Section: CaseIterable {
    case embedding, attentionNorm, query, key, value, attentionOutput
    case feedForwardNorm, gate, down, up
    case finalNorm, rotaryTables, head

    /// What follows the header, one after the other.
    static func order(version: Int) -> [Section] {
      if version == 0 { return allCases }
      return [.attentionNorm, .feedForwardNorm, .finalNorm, .embedding]
        + [.query, .key, .value, .attentionOutput, .gate, .down, .up, .head]
    }

    var isNorm: Bool { self == .attentionNorm || self == .feedForwardNorm || self == .finalNorm }
  }

  private let header: Llama2CHeader
  /// Bytes from the file's start to each section.
  private var starts: [Section: Int] = [:]
  /// Bytes of a file with this header.
  private(set) var fileSize: Int

  /// Nil where the size does not fit in 64 bits: no file has it.
  init?(_ header: Llama2CHeader) {
    self.header = header
    fileSize = header.size
    for section in Section.order(version: header.version) {
      starts[section] = fileSize
      guard let elements = Self.product(factors(of: section)),
        let bytes = byteCount(of: elements, in: section)
      else { return nil }
      let (end, overflow) = fileSize.addingReportingOverflow(bytes)
      guard !overflow else { return nil }
      fileSize = end
    }
  }

  /// Nil where it does not fit in 64 bits.
  private static func product(_ factors: [Int]) -> Int? {
    var product = 1
    for factor in factors {
      let (next, overflow) = product.multipliedReportingOverflow(by: factor)
      guard !overflow else { return nil }
      product = next
    }
    return product
  }

  /// The bytes of whole tensors of a section; nil where they do not fit in 64 bits.
  private func byteCount(of elements: Int, in section: Section) -> Int? {
    let size = MemoryLayout<Float>.size
    guard let groupSize = header.groupSize, !section.isNorm else {
      return Self.product([elements, size])
    }
    guard let scales = Self.product([elements / groupSize, size]) else { return nil }
    let (bytes, overflow) = elements.addingReportingOverflow(scales)
    return overflow ? nil : bytes
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
      // Parts of what `init` has counted: nothing overflows.
      let elements = rows * columns
      let start = (starts[section] ?? 0) + layer * (byteCount(of: elements, in: section) ?? 0)
      let scales = header.groupSize.flatMap {
        section.isNorm
          ? nil : StoredMatrix.GroupScales(offset: start + elements, groupSize: $0)
      }
      return CheckpointTensor(
        name: name, rows: rows, columns: columns, storedName: stored,
        storage: StoredMatrix(
          file: file, offset: start, type: scales == nil ? .float32 : .int8, layout: .rowMajor,
          columns: columns, groupScales: scales))
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
