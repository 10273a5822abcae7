import EmberFormat
public import EmberModel
import EmberTokenizer

/// Scores several models on one text, side by side; the first is the baseline of the others.
///
/// ```swift
/// let comparison = try ModelComparison(models: [half, eightBit, fourBit])
/// let result = try comparison.compare(text: text, protocol: .papers(context: 512))
/// print(result.rendered(as: .terminal))
/// ```
///
/// The models go through the windows together, some tokens at a time: the baseline's logits for
/// these tokens are kept (64 MB at most) until the other models have computed theirs, then
/// forgotten. So one pass suffices, no logits are written to disk, and memory does not depend on the
/// text but for three numbers per scored token and model.
public struct ModelComparison: Sendable {
  /// Each model once per precision of the cache.
  private let entries: [(model: Model, cachePrecision: CachePrecision)]
  private let threads: Int?
  private let memory: MemoryRequest
  /// Called now and then while weights are read before the first computation, on any thread but one at
  /// a time.
  public var whileReading: @Sendable (_ bytesDone: Int, _ bytesTotal: Int) -> Void = { _, _ in }

  /// Of the baseline's logits that are kept.
  private static let keptBytes = 64 << 20
  private static let keptRows = 64

  /// - Parameters:
  ///   - models: all with the vocabulary and the tokenizer of the first.
  ///   - cachePrecisions: how keys and values are stored; each model is run once for every one. The
  ///     baseline is the first model with the first of them.
  /// - Throws: `EvaluationError.noModels`, `.vocabulariesDiffer`, `.tokenizersDiffer`
  public init(
    models: [Model], threads: Int? = nil, chunkLength: Int = 128,
    cachePrecisions: [CachePrecision] = [.half], budget: MemoryBudget = .unlimited,
    isForced: Bool = false
  ) throws(EvaluationError) {
    guard let baseline = models.first, !cachePrecisions.isEmpty else { throw .noModels }
    let size = baseline.architecture.vocabularySize
    for model in models.dropFirst() {
      let (first, path) = (baseline.file.path.string, model.file.path.string)
      if model.architecture.vocabularySize != size {
        throw .vocabulariesDiffer(
          baseline: first, baselineSize: size, path: path,
          size: model.architecture.vocabularySize)
      }
      if model.file.tokenizer != baseline.file.tokenizer {
        throw .tokenizersDiffer(baseline: first, path: path)
      }
    }
    entries = models.flatMap { model in cachePrecisions.map { (model, $0) } }
    self.threads = threads
    memory = MemoryRequest(budget: budget, chunkLength: chunkLength, isForced: isForced)
  }

  /// Compares on a text, encoded without a beginning-of-sequence token of its own.
  ///
  /// - Parameters:
  ///   - name: what the result calls the text, such as the name of its file.
  ///   - progress: called after each window with how many are done, of how many.
  /// - Throws: `TokenizerError` if the baseline's tokenizer is damaged, `EvaluationError`,
  ///   `ModelError`, and what `progress` throws.
  public func compare(
    text: String, named name: String? = nil, protocol windows: PerplexityProtocol,
    progress: (_ done: Int, _ total: Int) throws -> Void = { _, _ in }
  ) throws -> Comparison {
    // Such a model has no text, but sources and targets.
    if entries[0].model.architecture.encoder != nil { throw ModelError.noSource }
    let tokenizer = try Tokenizer(serialized: entries[0].model.file.tokenizer)
    let text = EvaluationText(text, name: name, tokenizer: tokenizer)
    return try compare(text, windows, beginOfSequence: tokenizer.beginOfSequence, progress)
  }

  /// Compares on the tokens of a text.
  ///
  /// - Parameter beginOfSequence: needed if the protocol begins windows with it.
  public func compare(
    ids: [Int32], beginOfSequence: Int32? = nil, protocol windows: PerplexityProtocol,
    progress: (_ done: Int, _ total: Int) throws -> Void = { _, _ in }
  ) throws -> Comparison {
    try compare(
      EvaluationText(ids: ids), windows, beginOfSequence: beginOfSequence, progress)
  }

  private func compare(
    _ text: EvaluationText, _ windows: PerplexityProtocol, beginOfSequence: Int32?,
    _ progress: (_ done: Int, _ total: Int) throws -> Void
  ) throws -> Comparison {
    let size = entries[0].model.architecture.vocabularySize
    let prepared = try PreparedText(
      text, windows, beginOfSequence: beginOfSequence, vocabularySize: size)
    var kept = KeptLogits(
      capacity: max(1, min(Self.keptRows, Self.keptBytes / (4 * size))), vocabularySize: size)
    var request = memory
    request.context = .positions(windows.context)
    // The kept logits are written later.
    request.promisedBytes = kept.byteCount
    let plans = try MemoryPlan.sideBySide(entries, request)
    var runners: [WindowRunner] = []
    for (entry, plan) in zip(entries, plans) {
      runners.append(
        try WindowRunner(
          model: entry.model, memory: plan, windows: windows, stride: prepared.plan.stride,
          threads: threads, whileReading: whileReading))
    }
    var divergences = [DivergenceScore](repeating: DivergenceScore(), count: entries.count)
    var softmax = LogSoftmax()
    for index in 0..<prepared.plan.count {
      let input = prepared.window(index)
      for i in runners.indices { try runners[i].begin(input) }
      var positions = input.predicting
      while !positions.isEmpty {
        let part = positions.prefix(kept.capacity)
        positions = positions.dropFirst(part.count)
        try runners[0].run(input, positions: part, &softmax) { index, logits, row, _ in
          kept.store(index, logits, row)
        }
        for i in runners.indices.dropFirst() {
          try runners[i].run(input, positions: part, &softmax) { index, logits, row, softmax in
            let target = Int(input.ids[part.lowerBound + index + 1])
            kept.withRow(index) { baseline, baselineRow in
              divergences[i].add(baseline, baselineRow, logits, row, target: target, &softmax)
            }
          }
        }
      }
      try progress(index + 1, prepared.plan.count)
    }
    return try Comparison(text, entries, runners.map(\.score), divergences)
  }
}

/// The baseline's logits for a few tokens.
private struct KeptLogits {
  let capacity: Int
  var byteCount: Int { 4 * capacity * vocabularySize }
  private let vocabularySize: Int
  /// [capacity, vocabularySize]
  private var logits: [Float]
  private var rows: [SoftmaxRow?]

  init(capacity: Int, vocabularySize: Int) {
    self.capacity = capacity
    self.vocabularySize = vocabularySize
    logits = [Float](repeating: 0, count: capacity * vocabularySize)
    rows = [SoftmaxRow?](repeating: nil, count: capacity)
  }

  mutating func store(_ index: Int, _ source: UnsafeBufferPointer<Float>, _ row: SoftmaxRow) {
    logits.withUnsafeMutableBufferPointer { logits in
      let start = index * vocabularySize
      _ = logits[start..<start + vocabularySize].update(fromContentsOf: source)
    }
    rows[index] = row
  }

  func withRow(_ index: Int, _ body: (UnsafeBufferPointer<Float>, SoftmaxRow) -> Void) {
    guard let row = rows[index] else { return }
    logits.withUnsafeBufferPointer { logits in
      let start = index * vocabularySize
      body(UnsafeBufferPointer(rebasing: logits[start..<start + vocabularySize]), row)
    }
  }
}
