import EmberModel
import SystemPackage

/// Finds the tensors of an architecture among the stored ones and checks their shapes.
struct HuggingFaceTensors {
  let architecture: Architecture
  let names: TensorNameMap
  let weights: StoredTensors
  /// What holds the weights and what describes them, for errors.
  let source: FilePath
  let configurationPath: FilePath

  var tensors: [CheckpointTensor] = []
  /// Stored names that were asked for.
  private var used: Set<String> = []
  private let prefix: String

  /// Collects all tensors, in the order of a model file.
  init(
    architecture: Architecture, names: TensorNameMap, weights: StoredTensors,
    source: FilePath, configurationPath: FilePath
  ) throws(CheckpointError) {
    self.architecture = architecture
    self.names = names
    self.weights = weights
    self.source = source
    self.configurationPath = configurationPath
    prefix =
      names.prefixes.first { weights[$0 + names.embedding + ".weight"] != nil }
      ?? names.prefixes[0]
    try collect()
  }

  private mutating func collect() throws(CheckpointError) {
    let width = architecture.width
    let vocabularySize = architecture.vocabularySize
    try addTable(TensorName.embedding, stem: prefix + names.embedding, rows: vocabularySize)
    if let position = names.position {
      let offset = names.positionOffset
      try addMatrix(
        TensorName.position, stored: prefix + position + ".weight",
        rows: architecture.contextLength, columns: width,
        within: offset..<offset + architecture.contextLength)
    }
    // A hostile layer count ends at the first layer that is not there.
    for layer in 0..<architecture.layerCount { try collect(layer: layer) }
    // Vectors lie together behind the layers.
    if let norm = names.embeddingNorm {
      try addNorm(TensorName.embeddingNorm, bias: TensorName.embeddingNormBias, stem: prefix + norm)
    }
    if let norm = names.finalNorm {
      try addNorm(TensorName.finalNorm, bias: TensorName.finalNormBias, stem: prefix + norm)
    }
    if !architecture.tiedHead {
      try addTable(TensorName.head, stem: names.head, rows: vocabularySize)
    }
    if names.headBias == .required || weights[names.head + ".bias"] != nil {
      try addVector(TensorName.headBias, stored: names.head + ".bias", count: vocabularySize)
    }
  }

  private mutating func collect(layer: Int) throws(CheckpointError) {
    let stem = "\(prefix)\(names.layers).\(layer)."
    for matrix in architecture.layerMatrices {
      for norm in norms(before: matrix) { try collect(norm: norm, layer: layer, stem: stem) }
      try collect(matrix: matrix, layer: layer, stem: stem)
    }
    try collectExperts(layer: layer, stem: stem)
    for norm in [TensorName.Norm.feedForwardOutput, .feedForwardSum] {
      try collect(norm: norm, layer: layer, stem: stem)
    }
  }

  /// What is normalised between a matrix and the one before it.
  private func norms(before matrix: TensorName.Matrix) -> [TensorName.Norm] {
    switch matrix {
    case .query: [.attention]
    case .attentionOutput: [.query, .key]
    case architecture.has(.router) ? .router : architecture.has(.gate) ? .gate : .up:
      [.attentionOutput, .attentionSum, .feedForward]
    default: []
    }
  }

  private mutating func collect(
    norm: TensorName.Norm, layer: Int, stem: String
  ) throws(CheckpointError) {
    guard let name = names.norms[norm] else { return }
    let isOfHeads = norm == .query || norm == .key
    try addNorm(
      TensorName.weight(norm, layer: layer), bias: TensorName.bias(norm, layer: layer),
      stem: stem + name, count: isOfHeads ? architecture.attention.headDimension : nil)
  }

  /// - Parameter count: the width by default.
  private mutating func addNorm(
    _ name: String, bias: String, stem: String, count: Int? = nil
  ) throws(CheckpointError) {
    let count = count ?? architecture.width
    try addVector(name, stored: stem + ".weight", count: count)
    tensors[tensors.count - 1].addend = names.gainOffset
    if architecture.norm.kind == .layer {
      try addVector(bias, stored: stem + ".bias", count: count)
    }
  }

  private mutating func collect(
    matrix: TensorName.Matrix, layer: Int, stem: String
  ) throws(CheckpointError) {
    guard let name = names.matrices[matrix] else { return }
    let rows = architecture.outputs(of: matrix)
    // Of a fused tensor, our rows come after those of the matrices before us.
    let before = name.fused.prefix { $0 != matrix }.reduce(0) { $0 + architecture.outputs(of: $1) }
    let total =
      name.fused.isEmpty
      ? rows : name.fused.reduce(0) { $0 + architecture.outputs(of: $1) }
    let weight = stem + name.stem + ".weight"
    let bias = stem + name.stem + ".bias"
    let hasBias = name.bias == .required || weights[bias] != nil
    if name.isFusedByHead {
      let heads = HeadParts(
        index: name.fused.prefix { $0 != matrix }.count, count: name.fused.count,
        outputs: architecture.attention.headDimension)
      try addParts(
        TensorName.weight(matrix, layer: layer), stored: weight, rows: rows,
        columns: architecture.inputs(of: matrix), shape: [total, architecture.inputs(of: matrix)],
        heads)
      guard hasBias else { return }
      try addParts(
        TensorName.bias(matrix, layer: layer), stored: bias, rows: 1, columns: rows,
        shape: [total], heads)
      return
    }
    if name.isVector {
      try add(
        TensorName.weight(matrix, layer: layer), stored: weight, rows: rows,
        columns: architecture.inputs(of: matrix), shape: [architecture.inputs(of: matrix)],
        order: .outputsByInputs, firstOutput: 0)
    } else {
      try addMatrix(
        TensorName.weight(matrix, layer: layer), stored: weight,
        rows: rows, columns: architecture.inputs(of: matrix), order: name.order,
        within: before..<total)
    }
    if hasBias {
      try addVector(
        TensorName.bias(matrix, layer: layer), stored: bias, count: rows, within: before..<total)
    }
  }

  /// Where a matrix's outputs stand in a tensor that holds several, head by head.
  private struct HeadParts {
    /// Of the matrix among those that share the tensor.
    let index: Int
    let count: Int
    /// Of one head.
    let outputs: Int
  }

  /// A table with a row per token: the embedding or the head.
  private mutating func addTable(
    _ name: String, stem: String, rows: Int
  ) throws(CheckpointError) {
    let stored = stem + ".weight"
    if let shape = weights[stored]?.shape, shape.count == 2,
      shape[1] == architecture.width, shape[0] != rows
    {
      throw .vocabularyMismatch(
        path: configurationPath, tensor: stored, vocabulary: rows, rows: shape[0])
    }
    try addMatrix(name, stored: stored, rows: rows, columns: architecture.width)
  }

  /// - Parameter within: the part of the stored outputs from our first one on.
  private mutating func addMatrix(
    _ name: String, stored: String, rows: Int, columns: Int,
    order: TensorNameMap.Order = .outputsByInputs, within: Range<Int>? = nil
  ) throws(CheckpointError) {
    let outputs = within ?? 0..<rows
    try add(
      name, stored: stored, rows: rows, columns: columns,
      shape: order == .outputsByInputs
        ? [outputs.upperBound, columns] : [columns, outputs.upperBound],
      order: order, firstOutput: outputs.lowerBound)
  }

  private mutating func addVector(
    _ name: String, stored: String, count: Int, within: Range<Int>? = nil
  ) throws(CheckpointError) {
    let elements = within ?? 0..<count
    try add(
      name, stored: stored, rows: 1, columns: count, shape: [elements.upperBound],
      order: .outputsByInputs, firstOutput: elements.lowerBound)
  }

  /// Adds what is ours of every head.
  private mutating func addParts(
    _ name: String, stored: String, rows: Int, columns: Int, shape: [Int], _ heads: HeadParts
  ) throws(CheckpointError) {
    try add(
      name, stored: stored, rows: rows, columns: columns, shape: shape, order: .outputsByInputs,
      firstOutput: heads.index * heads.outputs)
    let last = tensors.count - 1
    // Elements of one head: of a matrix its rows, of a vector the numbers themselves.
    let length = heads.outputs * (shape.count > 1 ? columns : 1)
    let type = tensors[last].storage.type
    guard tensors[last].storage.layout == .rowMajor, length % type.blockElements == 0 else {
      throw .unsupportedType(
        path: tensors[last].storage.file.path, tensor: stored,
        found: "\(type.rawValue), transposed or in blocks beyond a head")
    }
    tensors[last].storage.layout = .parts(length: length, stride: heads.count * length)
  }

  /// Adds a tensor that begins with the output `firstOutput` of a stored one of `shape`.
  ///
  /// Once the shapes agree, the checks of the file's header say that all of `shape` lies within
  /// the file: what is computed after that cannot overflow.
  mutating func add(
    _ name: String, stored: String, rows: Int, columns: Int, shape: [Int],
    order: TensorNameMap.Order, firstOutput: Int
  ) throws(CheckpointError) {
    guard let tensor = weights[stored] else {
      throw .missingTensor(path: source, tensor: stored)
    }
    guard let type = tensor.type else {
      throw .unsupportedType(path: tensor.file.path, tensor: stored, found: tensor.typeName)
    }
    guard tensor.shape == shape else {
      throw .wrongShape(
        path: tensor.file.path, tensor: stored, expected: shape, found: tensor.shape)
    }
    used.insert(stored)
    tensors.append(
      CheckpointTensor(
        name: name, rows: rows, columns: columns, storedName: stored,
        storage: tensor.matrix(
          of: type, columns: columns, order: order, firstOutput: firstOutput)))
  }

  /// What a user should know: tensors that the architecture has no place for.
  var warnings: [String] {
    let unused = weights.tensors.keys.filter { name in
      !used.contains(name) && !names.ignoredSuffixes.contains { name.hasSuffix($0) }
        && !names.ignoredPrefixes.contains { name.hasPrefix($0) }
    }.sorted()
    guard !unused.isEmpty else { return [] }
    let shown = unused.prefix(8).joined(separator: ", ")
    let more = unused.count > 8 ? " and \(unused.count - 8) more" : ""
    return ["unused tensors in the checkpoint: \(shown)\(more)"]
  }
}
