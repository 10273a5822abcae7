import EmberKernels
import EmberModel
import SystemPackage

/// One run of a calibrator: the states of all windows, and what takes them through the layers.
final class CalibrationRun {
  typealias Sink = (CalibrationSite, SecondMoments) throws -> Void
  typealias Progress = (CalibrationProgress) -> Void

  private let architecture: Architecture
  private let tensors: [String: CheckpointTensor]
  private let path: FilePath
  private let windows: CalibrationWindows
  private let detail: SecondMoments.Detail
  private let kernel: UnsafeMomentKernel
  private let team: ThreadTeam
  private let runner: LayerRunner
  private let states: HiddenStates
  private var done = 0

  init(
    _ source: Checkpoint, path: FilePath, windows: CalibrationWindows, options: CalibrationOptions
  ) throws {
    architecture = source.architecture
    tensors = Dictionary(
      source.tensors.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    self.path = path
    self.windows = windows
    detail = options.detail
    kernel = .beside(options.kernels)
    team = ThreadTeam(
      threadCount: options.threads ?? ThreadCount.recommended,
      phaseCapacity: max(
        LayerRunner.phaseCapacity(of: architecture), MomentAccumulator.phaseCapacity))
    runner = try LayerRunner(
      architecture: architecture, windowLength: windows.length, team: team,
      kernels: options.kernels)
    // Both are below 2^42: no overflow.
    states = try HiddenStates(
      count: windows.tokenCount * architecture.width, limit: options.statesInMemory)
  }

  /// Makes the stream of every window from its tokens.
  func embed(isCancelled: () -> Bool, progress: Progress) throws {
    let tables = CheckpointWeights(tensors, path: path, team: team)
    var position: Matrix?
    if architecture.position == .learned {
      let longest = windows.tokenCount(of: 0)
      position = try tables.rows(
        (0..<Int32(longest)).map { $0 }, of: TensorName.position,
        rows: architecture.contextLength, columns: architecture.width)
    }
    let norm = try Weights.Norm(
      TensorName.embeddingNorm, bias: TensorName.embeddingNormBias, of: architecture, from: tables)
    try forEachWindow("embedding", isCancelled, progress, loading: false) { index, count in
      let rows = CheckpointWeights(tensors, path: path, team: team)
      let embedding = try rows.rows(
        windows[index], of: TensorName.embedding, rows: architecture.vocabularySize,
        columns: architecture.width)
      withExtendedLifetime((tables, rows)) {
        runner.embed(embedding, norm: norm, position: position, tokens: count)
      }
    }
  }

  /// Takes the stream of every window through one layer, and hands on what its matrices were given.
  func layer(_ index: Int, isCancelled: () -> Bool, progress: Progress, sink: Sink) throws {
    if isCancelled() { throw CalibrationError.cancelled }
    let source = CheckpointWeights(tensors, path: path, team: team)
    let weights = try Weights.Layer(index, of: architecture, from: source)
    var sums: [CalibrationSite.Kind: MomentAccumulator] = [:]
    for kind in CalibrationSite.Kind.ofLayer(in: architecture) {
      let columns = CalibrationSite(kind, layer: index).columns(in: architecture)
      sums[kind] = MomentAccumulator(columns: columns, detail: detail, kernel: kernel)
    }
    let stage = "layer \(index + 1) of \(architecture.layerCount)"
    try forEachWindow(stage, isCancelled, progress) { _, count in
      withExtendedLifetime(source) {
        runner.run(weights, tokens: count) { input, vectors in
          sums[CalibrationSite.Kind(input)]?.add(
            vectors.values, stride: vectors.paddedColumns, tokens: count, team: team)
        }
      }
    }
    for kind in CalibrationSite.Kind.ofLayer(in: architecture) {
      guard let sum = sums.removeValue(forKey: kind) else { continue }
      try handOn(sum, at: CalibrationSite(kind, layer: index), to: sink)
    }
  }

  /// Hands on what the head would be given.
  func head(isCancelled: () -> Bool, progress: Progress, sink: Sink) throws {
    let source = CheckpointWeights(tensors, path: path, team: team)
    let norm = try Weights.Norm(
      TensorName.finalNorm, bias: TensorName.finalNormBias, of: architecture, from: source)
    let sum = MomentAccumulator(
      columns: architecture.width, detail: detail, kernel: kernel)
    try forEachWindow("head", isCancelled, progress, storing: false) { _, count in
      let vectors = withExtendedLifetime(source) { runner.normalise(norm, tokens: count) }
      sum.add(vectors.values, stride: vectors.paddedColumns, tokens: count, team: team)
    }
    try handOn(sum, at: .head, to: sink)
  }

  private func handOn(
    _ sum: MomentAccumulator, at site: CalibrationSite, to sink: Sink
  ) throws {
    let moments = sum.moments()
    // By Cauchy and Schwarz no other product is larger than those on the diagonal.
    let limit = Double(Float.greatestFiniteMagnitude)
    if let column = moments.squares.firstIndex(where: { !($0 <= limit) }) {
      throw CalibrationError.notFinite(site: site.name, column: column)
    }
    try sink(site, moments)
  }

  /// Calls `body` for each window, with its stream in the runner before and kept afterwards.
  private func forEachWindow(
    _ stage: String, _ isCancelled: () -> Bool, _ progress: Progress, loading: Bool = true,
    storing: Bool = true, _ body: (_ index: Int, _ tokens: Int) throws -> Void
  ) throws {
    // Embedding, layers and head each see every token once.
    let total = windows.tokenCount * (architecture.layerCount + 2)
    for index in 0..<windows.count {
      if isCancelled() { throw CalibrationError.cancelled }
      let tokens = windows.tokenCount(of: index)
      let stream = UnsafeMutableBufferPointer(
        start: runner.stream, count: tokens * architecture.width)
      let place = index * windows.length * architecture.width
      if loading { try states.load(place, into: stream) }
      try body(index, tokens)
      if storing { try states.store(UnsafeBufferPointer(stream), at: place) }
      done += tokens
      progress(CalibrationProgress(done: done, total: total, stage: stage))
    }
  }
}

extension CalibrationSite.Kind {
  fileprivate init(_ input: LayerRunner.MatrixInput) {
    self =
      switch input {
      case .attention: .query
      case .attentionOutput: .attentionOutput
      case .feedForward: .up
      case .down: .down
      case .head: .head
      }
  }
}
