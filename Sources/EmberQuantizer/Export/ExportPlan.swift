import EmberFormat
import EmberModel

/// Which tensors a file of another format has, and what each consists of: what the reader of that
/// format does, the other way round.
struct ExportPlan {
  private(set) var tensors: [ExportTensor] = []

  private let file: ModelFile
  /// Of the model, and as the format says it.
  private let architecture: Architecture
  private let target: Architecture
  private let names: TensorNameMap
  /// The element type of a matrix; vectors are in single precision.
  private let matrixType: (_ name: String, _ columns: Int) -> ExportTensor.ElementType
  private var used: Set<String> = []
  private var rows: ModelRows
  private let prefix: String

  /// - Parameters:
  ///   - target: as the format's own description of the model is read.
  ///   - matrixType: by the canonical name.
  /// - Throws: `ExportError.noPlace` for a tensor that would be left out.
  init(
    file: ModelFile, architecture: Architecture, target: Architecture, names: TensorNameMap,
    format: String,
    matrixType: @escaping (_ name: String, _ columns: Int) -> ExportTensor.ElementType
  ) throws {
    self.file = file
    self.architecture = architecture
    self.target = target
    self.names = names
    self.matrixType = matrixType
    rows = ModelRows(file)
    prefix = names.prefixes[0]
    try collect()
    if let tensor = file.tensors.first(where: { !used.contains($0.name) }) {
      throw ExportError.noPlace(
        model: file.path.string, tensor: tensor.name, architecture: target.name, format: format)
    }
  }

  /// Adds what is no tensor of the model.
  mutating func add(_ name: String, constants: [Float]) {
    tensors.append(
      ExportTensor(
        name: name, shape: [constants.count], type: .float32, rows: .constants(constants)))
  }

  private mutating func take(_ name: String) -> TensorRecord? {
    guard let tensor = file.tensor(named: name) else { return nil }
    used.insert(name)
    return tensor
  }

  // MARK: The model

  private mutating func collect() throws {
    addMatrix([TensorName.embedding], stored: prefix + names.embedding + ".weight")
    if let position = names.position {
      addMatrix(
        [TensorName.position], stored: prefix + position + ".weight",
        leadingRows: names.positionOffset)
    }
    if let norm = names.embeddingNorm {
      addNorm(TensorName.embeddingNorm, TensorName.embeddingNormBias, stem: prefix + norm)
    }
    for layer in 0..<architecture.layerCount { try collect(layer: layer) }
    if let norm = names.finalNorm {
      addNorm(TensorName.finalNorm, TensorName.finalNormBias, stem: prefix + norm)
    }
    addMatrix([TensorName.head], stored: names.head + ".weight")
    if names.headBias == .required {
      addVector([TensorName.headBias], stored: names.head + ".bias")
    }
  }

  private mutating func collect(layer: Int) throws {
    let stem = "\(prefix)\(names.layers).\(layer)."
    var norms: [String: TensorName.Norm] = [:]
    /// Of the columns of what reads the second of two norms that the format has one place for.
    var factors: [Float]?
    for norm in TensorName.Norm.allCases {
      guard let name = names.norms[norm] else { continue }
      if let first = norms[name] {
        factors = try sharedNormFactors(first, norm, layer: layer)
        continue
      }
      norms[name] = norm
      let order = norm == .query || norm == .key ? rotaryOrder : .same
      addNorm(
        TensorName.weight(norm, layer: layer), TensorName.bias(norm, layer: layer),
        stem: stem + name, order: order)
    }
    var stems: Set<String> = []
    for matrix in TensorName.Matrix.allCases {
      guard let name = names.matrices[matrix], stems.insert(name.stem).inserted else { continue }
      let matrices = name.fused.isEmpty ? [matrix] : name.fused
      let chunk = name.isFusedByHead ? architecture.attention.headDimension : nil
      let orders = matrices.map { $0 == .query || $0 == .key ? rotaryOrder : RowOrder.same }
      addMatrix(
        matrices.map { TensorName.weight($0, layer: layer) }, stored: stem + name.stem + ".weight",
        orders: orders, chunk: chunk, isTransposed: name.order == .inputsByOutputs,
        columnFactors: matrix == .gate || matrix == .up ? factors : nil,
        isVector: name.isVector)
      addVector(
        matrices.map { TensorName.bias($0, layer: layer) }, stored: stem + name.stem + ".bias",
        orders: orders, chunk: chunk)
    }
    collectExperts(layer: layer, stem: stem)
  }

  private mutating func collectExperts(layer: Int, stem: String) {
    guard let shape = architecture.feedForward.experts, let names = names.experts else { return }
    for matrix in TensorName.ExpertMatrix.allCases {
      let experts = (0..<shape.count).map {
        TensorName.weight(matrix, expert: $0, layer: layer)
      }
      if let stacked = names.stacked[matrix] {
        addMatrix(experts, stored: stem + stacked + ".weight", stacks: shape.count)
        continue
      }
      guard let own = names.matrices[matrix] else { continue }
      for (index, expert) in experts.enumerated() {
        addMatrix([expert], stored: "\(stem)\(names.stem).\(index).\(own).weight")
      }
    }
  }

  private var rotaryOrder: RowOrder {
    guard case .rotary(_, let dimensions, let from, _, _) = architecture.position,
      case .rotary(_, _, let to, _, _) = target.position
    else { return .same }
    return RowOrder(
      from: from, to: to, headDimension: architecture.attention.headDimension,
      dimensions: dimensions)
  }

  // MARK: Tensors

  private mutating func parts(
    _ names: [String], _ orders: [RowOrder]?, factors: [Float]? = nil
  ) -> [StackedRows.Part]? {
    guard names.allSatisfy({ file.tensor(named: $0) != nil }) else { return nil }
    return names.indices.compactMap { index in
      take(names[index]).map {
        StackedRows.Part(
          tensor: $0, order: orders?[index] ?? .same, columnFactors: factors)
      }
    }
  }

  /// Adds a matrix where the model has one.
  private mutating func addMatrix(
    _ canonical: [String], stored: String, orders: [RowOrder]? = nil, chunk: Int? = nil,
    isTransposed: Bool = false, leadingRows: Int = 0, stacks: Int? = nil,
    columnFactors: [Float]? = nil, isVector: Bool = false
  ) {
    guard let parts = parts(canonical, orders, factors: columnFactors), let first = parts.first
    else { return }
    let outputs = parts.reduce(0) { $0 + $1.tensor.layout.rows } + leadingRows
    let columns = first.tensor.layout.columns
    let shape =
      if let stacks {
        [stacks, outputs / stacks, columns]
      } else if isVector {
        [columns]
      } else {
        isTransposed ? [columns, outputs] : [outputs, columns]
      }
    tensors.append(
      ExportTensor(
        name: stored, shape: shape,
        type: isVector ? .float32 : matrixType(canonical[0], columns),
        rows: StackedRows(parts: parts, chunk: chunk), isTransposed: isTransposed,
        leadingRows: leadingRows))
  }

  /// Adds a vector where the model has one.
  private mutating func addVector(
    _ canonical: [String], stored: String, orders: [RowOrder]? = nil, chunk: Int? = nil,
    subtrahend: Float = 0
  ) {
    guard let parts = parts(canonical, orders) else { return }
    let count = parts.reduce(0) { $0 + $1.tensor.layout.columns }
    tensors.append(
      ExportTensor(
        name: stored, shape: [count], type: .float32,
        rows: StackedRows(parts: parts, chunk: chunk), subtrahend: subtrahend))
  }

  private mutating func addNorm(
    _ gain: String, _ bias: String, stem: String, order: RowOrder = .same
  ) {
    addVector(
      [gain], stored: stem + ".weight", orders: [order], subtrahend: names.gainOffset)
    addVector([bias], stored: stem + ".bias", orders: [order])
  }

  /// Conversion levels columns behind each norm by itself; where a format has one norm for two
  /// blocks, the difference, powers of two, goes to what reads the second.
  private mutating func sharedNormFactors(
    _ first: TensorName.Norm, _ second: TensorName.Norm, layer: Int
  ) throws -> [Float]? {
    func vector(_ name: String) throws(FormatError) -> [Float]? {
      guard let tensor = take(name) else { return nil }
      return try rows.vector(tensor)
    }
    let gains = [
      try vector(TensorName.weight(first, layer: layer)),
      try vector(TensorName.weight(second, layer: layer)),
    ]
    let biases = [
      try vector(TensorName.bias(first, layer: layer)),
      try vector(TensorName.bias(second, layer: layer)),
    ]
    if gains[0] == gains[1] && biases[0] == biases[1] { return nil }
    guard let one = gains[0], let other = gains[1], one.count == other.count else { return nil }
    return one.indices.map { index in
      if one[index] != 0 { return other[index] / one[index] }
      guard let a = biases[0]?[index], let b = biases[1]?[index], a != 0 else { return 1 }
      return b / a
    }
  }
}
