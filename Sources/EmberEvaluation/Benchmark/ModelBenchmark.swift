import EmberGeneration
import EmberKernels
import EmberModel

/// Times a model: decoding and prompts, on one number of threads after another, beside the
/// bandwidth and the arithmetic that they are limited by.
///
/// ```swift
/// let benchmark = ModelBenchmark(model: model, plan: try plan.resolved(…), load: times) { peakMemory }
/// let report = try benchmark.run()
/// ```
///
/// Every repetition goes through all measurements in turn, so that a machine whose speed drifts
/// changes all of them alike; the first repetition is not counted. The tokens are pseudo-random:
/// which they are does not change the work.
package struct ModelBenchmark {
  package let model: Model
  package let plan: BenchmarkPlan.Resolved
  package let kernels: Kernels
  private let load: LoadTimes?
  private let peakMemory: () -> Int

  /// Threads that are worth starting here.
  package static var recommendedThreads: Int { ThreadCount.recommended }

  /// - Parameters:
  ///   - load: for the report.
  ///   - peakMemory: the most bytes that this process had resident so far.
  package init(
    model: Model, plan: BenchmarkPlan.Resolved, kernels: Kernels = .best, load: LoadTimes? = nil,
    peakMemory: @escaping () -> Int
  ) {
    self.model = model
    self.plan = plan
    self.kernels = kernels
    self.load = load
    self.peakMemory = peakMemory
  }

  /// Measures.
  ///
  /// - Parameters:
  ///   - isCancelled: asked between measurements.
  ///   - progress: told the measurements that are done, and all.
  /// - Throws: `ModelError`, `EvaluationError.outOfMemory`, `CancellationError`
  package func run(
    isCancelled: () -> Bool = { false }, progress: (_ done: Int, _ total: Int) -> Void = { _, _ in }
  ) throws -> ModelBenchmarkReport {
    // First, while nothing but the model has asked for memory.
    let footprint = try footprint(isCancelled)
    let bandwidth = try ReadBandwidth()
    var lanes = plan.threads.map { Lane(self, threads: $0) }
    let total = (plan.repetitions + 1) * plan.threads.count * (plan.tests.count + 1)
    var done = 0
    func advance() throws {
      done += 1
      progress(done, total)
      if isCancelled() { throw CancellationError() }
    }
    for repetition in 0...plan.repetitions {
      for lane in lanes.indices {
        lanes[lane].measurePeaks(bandwidth)
        try advance()
        for (index, test) in plan.tests.enumerated() {
          let seconds = try lanes[lane].run(test, isCancelled)
          if repetition > 0 { lanes[lane].seconds[index].append(seconds) }
          try advance()
        }
      }
    }
    for lane in lanes.indices { lanes[lane].measurePeaks(bandwidth) }
    return ModelBenchmarkReport(
      model: model, plan: plan, kernels: kernels.name, load: load, footprint: footprint,
      rows: try lanes.flatMap { try $0.rows(plan.tests) })
  }

  /// The peak of one session on most threads that read the longest prompt, went on to the deepest
  /// position and decoded a token.
  private func footprint(
    _ isCancelled: () -> Bool
  ) throws -> ModelBenchmarkReport.Footprint {
    let session = try InferenceSession(
      model: model, contextLength: plan.contextLength, threads: plan.threads.max(),
      cachePrecision: plan.cachePrecision, kernels: kernels)
    var positions = 1
    for test in plan.tests {
      positions = max(positions, test.kind == "prompt" ? test.tokens : test.depth + 1)
    }
    try session.fill(to: positions - 1, with: Self.ids(positions, of: model), isCancelled)
    _ = try session.append([0])
    return .init(peakMemoryBytes: peakMemory(), cacheBytes: session.cacheBytes)
  }

  /// Pseudo-random ids, the same each time.
  fileprivate static func ids(_ count: Int, of model: Model) -> [Int32] {
    var random = SplitMix64(seed: 0)
    let size = UInt64(model.architecture.vocabularySize)
    return (0..<count).map { _ in Int32(truncatingIfNeeded: random.next() % size) }
  }
}

/// The measurements on one number of threads.
private struct Lane {
  /// One per test, in seconds.
  var seconds: [[Double]]
  private var peaks: PeakSamples
  private let benchmark: ModelBenchmark
  private let threads: Int
  /// One per depth, so that what lies in the cache before decoding is computed once.
  private var decoding: [Int: InferenceSession] = [:]
  private var reading: InferenceSession?
  /// One per number of sequences.
  private var together: [Int: ParallelSession] = [:]
  private let ids: [Int32]

  init(_ benchmark: ModelBenchmark, threads: Int) {
    self.benchmark = benchmark
    self.threads = threads
    let tests = benchmark.plan.tests
    seconds = tests.map { _ in [] }
    peaks = PeakSamples(threads: threads, kernels: benchmark.kernels)
    ids = ModelBenchmark.ids(tests.reduce(1) { max($0, $1.positions) }, of: benchmark.model)
  }

  mutating func measurePeaks(_ bandwidth: ReadBandwidth) {
    peaks.measure(readBandwidth: bandwidth.measure(threads: threads))
  }

  private func session() throws -> InferenceSession {
    try InferenceSession(
      model: benchmark.model, contextLength: benchmark.plan.contextLength, threads: threads,
      cachePrecision: benchmark.plan.cachePrecision, kernels: benchmark.kernels)
  }

  private func parallelSession(_ sequences: Int) throws -> ParallelSession {
    try ParallelSession(
      model: benchmark.model, sequences: sequences, contextLength: benchmark.plan.contextLength,
      threads: threads, cachePrecision: benchmark.plan.cachePrecision, kernels: benchmark.kernels)
  }

  /// Seconds that the test takes.
  mutating func run(_ test: BenchmarkTest, _ isCancelled: () -> Bool) throws -> Double {
    let clock = ContinuousClock()
    switch test {
    case .decode(let tokens, let depth):
      let session = try decoding[depth] ?? session()
      decoding[depth] = session
      session.truncate(to: depth)
      // Only the first time: later what lies before is still there.
      try session.fill(to: depth, with: ids, isCancelled)
      let start = clock.now
      for i in 0..<tokens { _ = try session.append([ids[depth + i]]) }
      return (clock.now - start).seconds
    case .prompt(let tokens):
      let prompt = Array(ids.prefix(tokens))
      let session = try reading ?? session()
      reading = session
      session.truncate(to: 0)
      let start = clock.now
      _ = try session.append(prompt)
      return (clock.now - start).seconds
    case .parallel(let sequences, let tokens):
      let session = try together[sequences] ?? parallelSession(sequences)
      together[sequences] = session
      for sequence in 0..<sequences { session.reset(sequence: sequence) }
      let start = clock.now
      for i in 0..<tokens {
        _ = try session.append(
          (0..<sequences).map {
            .init(sequence: $0, tokens: [ids[(i + $0) % ids.count]], wantsLogits: true)
          })
      }
      return (clock.now - start).seconds
    }
  }

  func rows(_ tests: [BenchmarkTest]) throws -> [ModelBenchmarkReport.Row] {
    try zip(tests, seconds).compactMap { test, seconds in
      guard let rate = Spread(seconds.map { Double(test.totalTokens) / max($0, 1e-9) }),
        let peaks = peaks.peaks
      else { return nil }
      let model = benchmark.model
      return .init(
        test: test, tokensPerSecond: rate, peaks: peaks,
        arithmetic: model.metadata.recipe.bits == 16 ? .f32 : .int8,
        weightBytesPerToken: model.weightBytesPerToken,
        cacheBytesPerToken: try decoding[test.depth].map {
          try $0.meanCacheBytes(from: test.depth, tokens: test.tokens, ids)
        },
        operations: model.weights.operations(of: test))
    }
  }
}

extension InferenceSession {
  /// Appends what lacks up to `depth` positions, as a prompt is read.
  fileprivate func fill(
    to depth: Int, with ids: [Int32], _ isCancelled: () -> Bool
  ) throws {
    while position < depth {
      if isCancelled() { throw CancellationError() }
      _ = try append(Array(ids[position..<min(depth, position + chunkLength)]))
    }
  }

  /// Bytes of the cache that decoding these tokens read per token: each token reads all positions
  /// so far, in whole chunks as they are stored.
  fileprivate func meanCacheBytes(from depth: Int, tokens: Int, _ ids: [Int32]) throws -> Double {
    try fill(to: depth + tokens, with: ids, { false })
    var sum = 0.0
    for position in stride(from: depth + tokens, to: depth, by: -1) {
      truncate(to: position)
      sum += Double(cacheBytes)
    }
    return sum / Double(max(1, tokens))
  }
}

extension Weights {
  /// Multiplications and additions by the matrices for a test; of a prompt, the head takes part once,
  /// for the last token.
  fileprivate func operations(of test: BenchmarkTest) -> Double {
    let inLayers = layers.reduce(0) { sum, layer in
      let matrices = [
        layer.query, layer.key, layer.value, layer.attentionOutput, layer.up, layer.down,
      ]
      return (matrices + [layer.gate].compactMap { $0 }).reduce(sum) {
        $0 + $1.weight.rows * $1.weight.columns
      }
    }
    let logits = test.kind == "prompt" ? 1 : test.totalTokens
    return 2
      * (Double(inLayers) * Double(test.totalTokens)
        + Double(head.weight.rows * head.weight.columns) * Double(logits))
  }
}
