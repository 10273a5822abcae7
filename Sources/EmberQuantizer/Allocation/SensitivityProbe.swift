import EmberFormat
import EmberKernels
import EmberModel
import SystemPackage

/// Measures what replacing one matrix of a checkpoint does to what the model says.
///
/// The model is in memory in half precision, with the stream of every window before every layer. A
/// changed matrix of a layer leaves everything before that layer as it was, so computation starts
/// there.
final class SensitivityProbe {
  private let architecture: Architecture
  private let windows: [[Int32]]
  private let length: Int
  private let team: ThreadTeam
  private let kernels: Kernels
  private let runner: LayerRunner
  private let weights: ResidentWeights
  private let layers: [Weights.Layer]
  private let finalNorm: Weights.Norm?
  private let embeddingNorm: Weights.Norm?
  private let headBias: UnsafePointer<Float>?
  private let reference: ReferenceDistributions
  /// The stream before each layer and behind the last, [layers + 1][windows][length][width].
  private let states: UnsafeMutablePointer<Float>
  /// [length][vocabularySize]
  private let logits: UnsafeMutablePointer<Float>

  /// Tokens of all windows.
  var tokenCount: Int { windows.reduce(0) { $0 + $1.count } }

  /// - Parameters:
  ///   - windows: token ids of the vocabulary, no window empty.
  ///   - memoryLimit: bytes that it may take; nil for what is available.
  /// - Throws: `CheckpointError`, `QuantizerError`, `ModelError`, `CalibrationError.notFinite`
  init(
    _ source: Checkpoint, path: FilePath, windows: [[Int32]], threads: Int,
    memoryLimit: Int? = nil
  ) throws {
    architecture = source.architecture
    self.windows = windows
    length = windows.map(\.count).max() ?? 0
    kernels = .best
    team = ThreadTeam(
      threadCount: threads, phaseCapacity: LayerRunner.phaseCapacity(of: architecture))
    let bytes = Self.byteCount(source, windows: windows.count, length: length)
    let available = memoryLimit ?? AvailableMemory.bytes
    if bytes > available {
      throw QuantizerError.modelTooLarge(bytes: bytes, available: available)
    }
    runner = try LayerRunner(
      architecture: architecture, windowLength: length, team: team, kernels: kernels)
    let tensors = Dictionary(
      source.tensors.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    let weights = ResidentWeights(tensors, path: path, team: team)
    self.weights = weights
    let architecture = architecture
    layers = try (0..<architecture.layerCount).map {
      try Weights.Layer($0, of: architecture, from: weights)
    }
    finalNorm = try Weights.Norm(
      TensorName.finalNorm, bias: TensorName.finalNormBias, of: architecture, from: weights)
    embeddingNorm = try Weights.Norm(
      TensorName.embeddingNorm, bias: TensorName.embeddingNormBias, of: architecture,
      from: weights)
    headBias = try weights.optionalVector(
      TensorName.headBias, count: architecture.vocabularySize)
    let vocabularySize = architecture.vocabularySize
    reference = ReferenceDistributions(
      tokens: windows.count * length, vocabularySize: vocabularySize)
    states = .aligned(
      (architecture.layerCount + 1) * windows.count * length * architecture.width)
    logits = .aligned(length * vocabularySize)
    try run(from: nil, purpose: .keepingReference)
    for token in tokenPlaces where !reference.negativeEntropies[token].isFinite {
      throw CalibrationError.notFinite(site: TensorName.head, column: 0)
    }
  }

  deinit {
    states.deallocate()
    logits.deallocate()
  }

  /// Layers that a change of this tensor makes necessary to compute, for the progress.
  func layerCount(for name: String) -> Int { architecture.layerCount - (firstLayer(of: name) ?? 0) }

  /// KL(unchanged ‖ changed) in nats, the mean over all tokens, where one matrix is another.
  func divergence(replacing name: String, by matrix: HalfMatrix) throws -> Double {
    weights.replace((name, matrix))
    defer { weights.replace(nil) }
    try run(from: firstLayer(of: name), replacing: name, purpose: .comparing)
    var sum = 0.0
    for token in tokenPlaces { sum += reference.divergences[token] }
    // Weights so coarse that the model overflows are worse than any number could say.
    return sum.isFinite ? sum / Double(tokenCount) : 1e6
  }

  private var tokenPlaces: [Int] {
    windows.indices.flatMap { window in windows[window].indices.map { window * length + $0 } }
  }

  /// The layer to begin at: that of a layer's matrix, the number of layers for a head of its own;
  /// nil where tokens must be embedded anew.
  private func firstLayer(of name: String) -> Int? {
    if name == TensorName.head { return architecture.layerCount }
    let parts = name.split(separator: ".", maxSplits: 2)
    return parts.count == 3 && parts[0] == "layers" ? Int(parts[1]) : nil
  }

  private func run(
    from first: Int?, replacing name: String? = nil, purpose: DivergenceWork.Purpose
  ) throws {
    let a = architecture
    var layers = self.layers
    if let first, first < layers.count, name != nil {
      layers[first] = try Weights.Layer(first, of: a, from: weights)
    }
    let embedding = try weights.matrix(
      TensorName.embedding, rows: a.vocabularySize, columns: a.width)
    let position =
      a.position == .learned
      ? try weights.matrix(TensorName.position, rows: a.contextLength, columns: a.width) : nil
    let head =
      a.tiedHead
      ? embedding
      : try weights.matrix(TensorName.head, rows: a.vocabularySize, columns: a.width)
    for (index, window) in windows.enumerated() {
      let stream = runner.stream
      let count = window.count * a.width
      if let first {
        stream.update(from: state(before: first, window: index), count: count)
      } else {
        let rows = try gather(window, from: embedding)
        withExtendedLifetime(rows) {
          runner.embed(
            rows.view, norm: embeddingNorm, position: position, tokens: window.count)
        }
      }
      for layer in (first ?? 0)..<layers.count {
        if purpose == .keepingReference {
          state(before: layer, window: index).update(from: stream, count: count)
        }
        runner.run(layers[layer], tokens: window.count) { _, _ in }
      }
      if purpose == .keepingReference {
        state(before: layers.count, window: index).update(from: stream, count: count)
      }
      let inputs = runner.normalise(finalNorm, tokens: window.count)
      team.step(
        DivergenceWork(
          purpose: purpose, head: head, bias: headBias, scale: a.headScale, softCap: a.logitSoftCap,
          inputs: inputs, logits: logits, reference: reference, first: index * length,
          kernels: kernels))
    }
  }

  private func state(before layer: Int, window: Int) -> UnsafeMutablePointer<Float> {
    states + (layer * windows.count + window) * length * architecture.width
  }

  /// The rows of a window's tokens.
  private func gather(_ ids: [Int32], from table: Matrix) throws -> HalfMatrix {
    let rows = try HalfMatrix(rows: ids.count, columns: table.columns)
    let values = UnsafeMutablePointer<Float>.allocate(capacity: ids.count * table.columns)
    defer { values.deallocate() }
    for (place, id) in ids.enumerated() {
      table.copyRow(Int(id), to: values + place * table.columns)
    }
    rows.store(values, first: 0, count: ids.count, team: team)
    return rows
  }

  /// All weights in half precision, the largest matrix again while it is replaced, the states, and
  /// the distributions.
  static func byteCount(_ source: Checkpoint, windows: Int, length: Int) -> Int {
    let a = source.architecture
    var parts: [Int] = []
    for tensor in source.tensors {
      let layout = try? TensorLayout(type: .f16, rows: tensor.rows, columns: tensor.columns)
      parts.append(layout?.byteCount ?? .max)
    }
    // Of the largest, what is measured, its blocks, and one more that is made from it for a ratio.
    let largest = parts.max() ?? 0
    parts += [largest, largest, largest]
    // Few tokens times widths, layers and vocabularies below 2^27 each: no overflow.
    let tokens = windows * length
    parts.append(4 * tokens * a.width * (a.layerCount + 1))
    parts.append(4 * (tokens + length) * a.vocabularySize)
    var total = 0
    for part in parts {
      let (sum, overflow) = total.addingReportingOverflow(part)
      total = overflow ? .max : sum
    }
    return total
  }
}
