import EmberFormat
import EmberKernels
import EmberModel
import EmberTokenizer
public import SystemPackage

/// Runs a checkpoint over a text and collects second moments of what its matrices are given.
///
/// ```swift
/// let calibrator = Calibrator(checkpoint: "model", options: CalibrationOptions(detail: .diagonal))
/// try calibrator.run(text: text) { site, moments in
///   print(site, moments.featureColumns())
/// }
/// ```
///
/// All windows go through one layer before the next layer's weights are read. So memory holds one
/// layer in half precision, its four sites' moments, and the buffers of one window, whatever the
/// size of the model and the text; the states between layers lie in a file where they are many. The
/// weights are those of a 16-bit model file, the computation that of a session with it.
public struct Calibrator: Sendable {
  public let checkpoint: FilePath
  public let options: CalibrationOptions

  public init(checkpoint: FilePath, options: CalibrationOptions = CalibrationOptions()) {
    self.checkpoint = checkpoint
    self.options = options
  }

  /// Collects.
  ///
  /// - Parameters:
  ///   - isCancelled: asked before every window of every layer.
  ///   - progress: told after every window of every layer.
  ///   - sink: given each site's moments when its layer is done, in the order of the forward pass.
  /// - Throws: `CheckpointError`, `TokenizerError`, `QuantizerError`, `ModelError`,
  ///   `CalibrationError`, and what `sink` throws.
  @discardableResult
  public func run(
    text: String, isCancelled: () -> Bool = { false },
    progress: (CalibrationProgress) -> Void = { _ in },
    sink: (CalibrationSite, SecondMoments) throws -> Void
  ) throws -> CalibrationSummary {
    let source = try openCheckpoint()
    let (tokenizer, warnings) = try source.openTokenizer(checkpoint: checkpoint)
    let windows = try windows(of: text, tokenizer, source.architecture)
    let seconds = try run(
      source, windows, isCancelled: isCancelled, progress: progress, sink: sink)
    return CalibrationSummary(
      text: CalibrationText(
        sha256: SHA256.hexadecimal(of: text), tokenCount: windows.tokenCount,
        windowLength: windows.length, addsBeginOfSequence: windows.prefix != nil),
      windowCount: windows.count, seconds: seconds, warnings: source.warnings + warnings)
  }

  /// Collects over tokens drawn at random, the same in every run: no text is needed, and how large
  /// the inputs of each column are depends more on the model than on what it reads.
  ///
  /// - Throws: as `run(text:)`.
  public func run(
    randomTokens count: Int, isCancelled: () -> Bool = { false },
    progress: (CalibrationProgress) -> Void = { _ in },
    sink: (CalibrationSite, SecondMoments) throws -> Void
  ) throws {
    let source = try openCheckpoint()
    let ids = Self.randomTokens(count, vocabularySize: source.architecture.vocabularySize)
    let windows = CalibrationWindows(
      ids: ids, length: min(source.architecture.contextLength, 512), prefix: nil, limit: count)
    _ = try run(source, windows, isCancelled: isCancelled, progress: progress, sink: sink)
  }

  /// The same tokens whenever they are drawn.
  static func randomTokens(_ count: Int, vocabularySize: Int) -> [Int32] {
    // A linear congruential generator (Knuth's MMIX constants), of which the upper bits are good.
    var state: UInt64 = 1
    return (0..<count).map { _ in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int32((state >> 33) % UInt64(vocabularySize))
    }
  }

  private func openCheckpoint() throws -> Checkpoint {
    let stored = try CheckpointReader.open(checkpoint, tokenizer: options.tokenizer)
    if stored.architecture.encoder != nil { throw CalibrationError.hasEncoder(checkpoint) }
    return options.foldsEmergentColumns ? try stored.foldingEmergentColumns() : stored
  }

  /// Returns the seconds it took.
  private func run(
    _ source: Checkpoint, _ windows: CalibrationWindows, isCancelled: () -> Bool,
    progress: (CalibrationProgress) -> Void,
    sink: (CalibrationSite, SecondMoments) throws -> Void
  ) throws -> Double {
    let start = ContinuousClock.now
    try refuseTooLarge(source.architecture)
    let run = try CalibrationRun(
      source, path: checkpoint, windows: windows, options: options)
    try run.embed(isCancelled: isCancelled, progress: progress)
    for layer in 0..<source.architecture.layerCount {
      try run.layer(layer, isCancelled: isCancelled, progress: progress, sink: sink)
    }
    try run.head(isCancelled: isCancelled, progress: progress, sink: sink)
    return (ContinuousClock.now - start) / .seconds(1)
  }

  /// Collects into a statistics file, which appears at its place only when it is complete.
  ///
  /// - Throws: as `run`; then nothing is written and an older file is as it was.
  @discardableResult
  public func run(
    text: String, saving path: FilePath, isCancelled: () -> Bool = { false },
    progress: (CalibrationProgress) -> Void = { _ in }
  ) throws -> CalibrationSummary {
    let architecture = try CheckpointReader.open(checkpoint, tokenizer: options.tokenizer)
      .architecture
    var writer = try StatisticsFileWriter(
      creating: path, model: ModelFingerprint(architecture), detail: options.detail)
    let summary = try run(text: text, isCancelled: isCancelled, progress: progress) {
      site, moments in try writer.add(moments, at: site)
    }
    try writer.finish(texts: [summary.text])
    return summary
  }

  private func windows(
    of text: String, _ tokenizer: Tokenizer, _ architecture: Architecture
  ) throws -> CalibrationWindows {
    let prefix = options.addsBeginOfSequence ? tokenizer.beginOfSequence : nil
    let least = prefix == nil ? 1 : 2
    let length = options.windowLength ?? max(least, min(architecture.contextLength, 512))
    guard (least...max(least, architecture.contextLength)).contains(length) else {
      throw CalibrationError.invalidOption(
        name: "window length", expected: "\(least) to the model's \(architecture.contextLength)",
        found: "\(length)")
    }
    // 2^40 tokens are more than any machine can compute, and keep all products below from overflow.
    guard (least...1 << 40).contains(options.maximumTokens) else {
      throw CalibrationError.invalidOption(
        name: "calibration tokens", expected: "\(least) or more",
        found: "\(options.maximumTokens)")
    }
    let ids = tokenizer.encode(text, addingBeginOfSequence: false, parsingSpecialTokens: false)
    if ids.isEmpty { throw CalibrationError.emptyText }
    let rows = architecture.vocabularySize
    if let bad = ids.first(where: { $0 < 0 || $0 >= rows })
      ?? prefix.flatMap({ $0 < rows ? nil : $0 })
    {
      throw ModelError.unknownToken(id: bad, vocabularySize: rows)
    }
    return CalibrationWindows(
      ids: ids, length: length, prefix: prefix, limit: options.maximumTokens)
  }

  /// Moments of a layer's sites at once, and a copy of the largest while it is handed on.
  private func refuseTooLarge(_ architecture: Architecture) throws(CalibrationError) {
    var total = 0
    var largest = 0
    for kind in CalibrationSite.Kind.ofLayer(in: architecture) {
      let columns = CalibrationSite(kind, layer: 0).columns(in: architecture)
      let bytes = MomentAccumulator.byteCount(columns: columns, detail: options.detail) ?? .max
      largest = max(largest, bytes / 2)
      total = total.addingReportingOverflow(bytes).overflow ? .max : total + bytes
    }
    total = total.addingReportingOverflow(largest).overflow ? .max : total + largest
    let available = options.memoryLimit ?? AvailableMemory.bytes
    if total > available { throw .tooLarge(bytes: total, available: available) }
  }
}
