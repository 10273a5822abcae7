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
  /// Within a budget, numbers of threads do not take turns, one session at a time serves all tests,
  /// and the machine's peaks are measured before and after it, when its memory is free.
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
    let bandwidth = plan.memory == nil ? try ReadBandwidth() : nil
    var lanes = plan.threads.map { Lane(self, threads: $0) }
    let turns = plan.memory == nil ? [Array(lanes.indices)] : lanes.indices.map { [$0] }
    let total = (plan.repetitions + 1) * plan.threads.count * (plan.tests.count + 1)
    var done = 0
    func advance() throws {
      done += 1
      progress(done, total)
      if isCancelled() { throw CancellationError() }
    }
    func measurePeaks(_ lane: Int) throws {
      let bandwidth = try bandwidth ?? ReadBandwidth(limit: spareBytes)
      lanes[lane].measurePeaks(bandwidth)
    }
    for turn in turns {
      for repetition in 0...plan.repetitions {
        for lane in turn {
          if plan.memory == nil || repetition == 0 { try measurePeaks(lane) }
          try advance()
          for (index, test) in plan.tests.enumerated() {
            let seconds = try lanes[lane].run(test, isCancelled)
            if repetition > 0 { lanes[lane].seconds[index].append(seconds) }
            try advance()
          }
        }
      }
      for lane in turn {
        if plan.memory != nil { lanes[lane].close() }
        try measurePeaks(lane)
      }
    }
    return ModelBenchmarkReport(
      model: model, plan: plan, kernels: kernels.name, load: load, footprint: footprint,
      rows: lanes.flatMap { $0.rows(plan.tests) })
  }

  /// What is left of the budget where no session is open, less what is kept for one.
  private var spareBytes: Int {
    let resident = ProcessMemory.resident
    let budget = plan.memory?.resolved(resident: resident) ?? .max
    return max(0, (budget - resident) / 4 * 3)
  }

  /// The peak of one session on most threads that read the longest prompt, went on to the deepest
  /// position and decoded a token.
  private func footprint(
    _ isCancelled: () -> Bool
  ) throws -> ModelBenchmarkReport.Footprint {
    let session = try session(threads: plan.threads.max())
    var positions = 1
    for test in plan.tests {
      positions = max(positions, test.kind == "prompt" ? test.tokens : test.depth + 1)
    }
    try session.fill(to: positions - 1, with: Self.ids(positions, of: model), isCancelled)
    _ = try session.append([0])
    return .init(
      peakMemoryBytes: peakMemory(), cacheBytes: session.cacheBytes, lentBytes: session.lentBytes,
      plan: session.plan)
  }

  fileprivate func session(threads: Int?) throws -> InferenceSession {
    let request = MemoryRequest(
      budget: plan.memory ?? .unlimited, context: .positions(plan.contextLength),
      cachePrecision: plan.cachePrecision,
      chunkLength: plan.memory == nil ? 128 : nil)
    return try InferenceSession(
      model: model, plan: MemoryPlan(for: model, request), threads: threads, kernels: kernels)
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
  /// One per depth, so that what lies in the cache before decoding is computed once; within a budget
  /// one for all.
  private var sessions: [Int: InferenceSession] = [:]
  /// The key of the prompts' session.
  private static let prompts = -1
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

  /// The session for tests behind `depth` positions.
  private mutating func session(_ depth: Int) throws -> InferenceSession {
    let key = benchmark.plan.memory == nil ? depth : 0
    let session = try sessions[key] ?? benchmark.session(threads: threads)
    sessions[key] = session
    return session
  }

  /// Gives the memory of all sessions back.
  mutating func close() {
    sessions = [:]
    together = [:]
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
      let session = try session(depth)
      session.truncate(to: depth)
      // Only the first time, where the session is the test's own.
      try session.fill(to: depth, with: ids, isCancelled)
      let start = clock.now
      for i in 0..<tokens { _ = try session.append([ids[depth + i]]) }
      return (clock.now - start).seconds
    case .prompt(let tokens):
      let prompt = Array(ids.prefix(tokens))
      let session = try session(Self.prompts)
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

  func rows(_ tests: [BenchmarkTest]) -> [ModelBenchmarkReport.Row] {
    zip(tests, seconds).compactMap { test, seconds in
      guard let rate = Spread(seconds.map { Double(test.totalTokens) / max($0, 1e-9) }),
        let peaks = peaks.peaks
      else { return nil }
      let model = benchmark.model
      return .init(
        test: test, tokensPerSecond: rate, peaks: peaks,
        arithmetic: model.metadata.recipe.bits == 16 ? .f32 : .int8,
        weightBytesPerToken: model.weightBytesPerToken,
        cacheBytesPerToken: test.meanCacheBytes(
          of: model.architecture, benchmark.plan.cachePrecision),
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
}

extension BenchmarkTest {
  /// Bytes of the cache that decoding reads per token: each token reads all positions so far, in
  /// whole chunks as they are stored.
  fileprivate func meanCacheBytes(
    of architecture: Architecture, _ precision: CachePrecision
  ) -> Double {
    let sum = (depth + 1..<depth + 1 + tokens).reduce(0.0) { sum, position in
      sum
        + Double(
          KeyValueCache.byteCount(
            architecture: architecture, precision: precision, positions: position, stepLength: 1))
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
