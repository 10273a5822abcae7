import EmberGeneration
import EmberKernels
import EmberModel

/// Times a model: decoding and prompts, on one number of threads after another, beside the
/// bandwidth that they are limited by.
///
/// ```swift
/// let benchmark = ModelBenchmark(model: model, plan: try plan.resolved(…)) { peakMemory }
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
  private let peakMemory: () -> Int

  /// Threads that are worth starting here.
  package static var recommendedThreads: Int { ThreadCount.recommended }

  /// - Parameter peakMemory: the most bytes that this process had resident so far.
  package init(
    model: Model, plan: BenchmarkPlan.Resolved, kernels: Kernels = .best,
    peakMemory: @escaping () -> Int
  ) {
    self.model = model
    self.plan = plan
    self.kernels = kernels
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
    let peakMemoryBytes = try footprint()
    let bandwidth = try ReadBandwidth()
    var lanes = try plan.threads.map { try Lane(self, threads: $0) }
    let total = (plan.repetitions + 1) * plan.threads.count * (plan.tests.count + 1)
    var done = 0
    func advance() throws {
      done += 1
      progress(done, total)
      if isCancelled() { throw CancellationError() }
    }
    for repetition in 0...plan.repetitions {
      for lane in lanes.indices {
        lanes[lane].bandwidths.append(bandwidth.measure(threads: lanes[lane].threads))
        try advance()
        for (index, test) in plan.tests.enumerated() {
          let seconds = try lanes[lane].run(test)
          if repetition > 0 { lanes[lane].seconds[index].append(seconds) }
          try advance()
        }
      }
    }
    for lane in lanes.indices {
      lanes[lane].bandwidths.append(bandwidth.measure(threads: lanes[lane].threads))
    }
    return ModelBenchmarkReport(
      model: model, plan: plan, kernels: kernels.name, peakMemoryBytes: peakMemoryBytes,
      rows: lanes.flatMap { $0.rows(plan.tests, model) })
  }

  /// The peak of one session that did each test once, on most threads; it also brings the weights
  /// into memory.
  private func footprint() throws -> Int {
    let session = try InferenceSession(
      model: model, contextLength: plan.contextLength, threads: plan.threads.max(),
      cachePrecision: plan.cachePrecision, kernels: kernels)
    for test in plan.tests {
      session.truncate(to: 0)
      switch test {
      case .prompt(let tokens):
        _ = try session.append(Self.ids(tokens, of: model))
      case .decode(_, let depth):
        if depth > 0 { _ = try session.append(Self.ids(depth, of: model)) }
        _ = try session.append([0])
      }
    }
    return peakMemory()
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
  let threads: Int
  /// One per test, in seconds.
  var seconds: [[Double]]
  /// In bytes per second.
  var bandwidths: [Double] = []
  /// Kept apart from the prompts', so that what lies in the cache before decoding is computed once.
  private let decoding: InferenceSession
  private let reading: InferenceSession
  private let ids: [Int32]

  init(_ benchmark: ModelBenchmark, threads: Int) throws {
    let (model, plan) = (benchmark.model, benchmark.plan)
    self.threads = threads
    seconds = plan.tests.map { _ in [] }
    func session() throws -> InferenceSession {
      try InferenceSession(
        model: model, contextLength: plan.contextLength, threads: threads,
        cachePrecision: plan.cachePrecision, kernels: benchmark.kernels)
    }
    decoding = try session()
    reading = try session()
    ids = ModelBenchmark.ids(plan.tests.reduce(1) { max($0, $1.positions) }, of: model)
    for case .decode(_, let depth) in plan.tests where depth > 0 {
      _ = try decoding.append(Array(ids.prefix(depth)))
    }
  }

  /// Seconds that the test takes.
  func run(_ test: BenchmarkTest) throws -> Double {
    let clock = ContinuousClock()
    switch test {
    case .decode(let tokens, let depth):
      decoding.truncate(to: depth)
      let start = clock.now
      for i in 0..<tokens { _ = try decoding.append([ids[depth + i]]) }
      return (clock.now - start).seconds
    case .prompt(let tokens):
      let prompt = Array(ids.prefix(tokens))
      reading.truncate(to: 0)
      let start = clock.now
      _ = try reading.append(prompt)
      return (clock.now - start).seconds
    }
  }

  func rows(_ tests: [BenchmarkTest], _ model: Model) -> [ModelBenchmarkReport.Row] {
    zip(tests, seconds).compactMap { test, seconds in
      guard let rate = Spread(seconds.map { Double(test.tokens) / max($0, 1e-9) }),
        let bandwidth = Spread(bandwidths)
      else { return nil }
      return .init(
        test: test, threads: threads, tokensPerSecond: rate, readBandwidth: bandwidth,
        weightBytesPerToken: model.weightBytesPerToken,
        operations: model.weights.operations(promptTokens: test.tokens))
    }
  }
}

extension Weights {
  /// Multiplications and additions by the matrices for a prompt; the head takes part once, for the
  /// last token.
  fileprivate func operations(promptTokens: Int) -> Double {
    let inLayers = layers.reduce(0) { sum, layer in
      let matrices = [
        layer.query, layer.key, layer.value, layer.attentionOutput, layer.up, layer.down,
      ]
      return (matrices + [layer.gate].compactMap { $0 }).reduce(sum) {
        $0 + $1.weight.rows * $1.weight.columns
      }
    }
    return 2 * (Double(inLayers) * Double(promptTokens) + Double(head.rows * head.columns))
  }
}
