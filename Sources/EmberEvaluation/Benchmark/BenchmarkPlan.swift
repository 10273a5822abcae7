import EmberModel

/// What a benchmark of a model measures.
package struct BenchmarkPlan: Sendable, Equatable {
  /// Lengths of the prompts; by default 128 and 512, cut to the context.
  package var promptTokens: [Int]?
  /// Numbers of tokens to decode, 0 for none; by default 64, cut to the context.
  package var generatedTokens: [Int]?
  /// Positions in the cache before decoding; by default none. Each number of tokens is decoded
  /// behind each of them.
  package var depths: [Int]?
  /// Numbers of sequences to decode together, from empty caches; by default none.
  package var parallel: [Int]?
  /// Numbers of threads; by default 1 and the recommended one.
  package var threads: [Int]?
  /// Positions that sessions make room for; by default as many as the measurements need.
  package var contextLength: Int?
  /// How keys and values are stored.
  package var cachePrecision = CachePrecision.half
  /// How often each measurement is counted.
  package var repetitions = 5
  /// Memory that the process may take; nil: the file is mapped, whatever there is.
  package var memory: MemoryBudget?

  package init() {}

  /// A plan with every value in place.
  package struct Resolved: Sendable, Equatable {
    package let tests: [BenchmarkTest]
    package let threads: [Int]
    package let contextLength: Int
    package let cachePrecision: CachePrecision
    package let repetitions: Int
    package var memory: MemoryBudget?
  }

  /// Fills in what was not said and checks the rest against the model.
  ///
  /// - Throws: `EvaluationError.invalidBenchmark`
  package func resolved(
    modelContext: Int, recommendedThreads: Int
  ) throws(EvaluationError) -> Resolved {
    func check(
      _ field: String, _ value: Int?, _ range: ClosedRange<Int>
    ) throws(EvaluationError) {
      guard let value, !range.contains(value) else { return }
      throw .invalidBenchmark(
        field: field, expected: "\(range.lowerBound) to \(range.upperBound)", found: "\(value)")
    }
    try check("--context", contextLength, 1...modelContext)
    let limit = contextLength ?? modelContext
    for length in promptTokens ?? [] { try check("--prompt-tokens", length, 0...limit) }
    for count in generatedTokens ?? [] { try check("--generate", count, 0...limit) }
    for count in parallel ?? [] { try check("--parallel", count, 1...256) }
    if let parallel, memory != nil {
      throw .invalidBenchmark(
        field: "--parallel", expected: "none together with --memory",
        found: parallel.map(String.init).joined(separator: ","))
    }
    // At least one token must fit behind the deepest.
    let free = limit - (generatedTokens?.max() ?? 1)
    for depth in depths ?? [] { try check("--depth", depth, 0...free) }
    let depths = self.depths ?? [0]
    let generated = generatedTokens ?? [min(64, limit - (depths.max() ?? 0))]

    var tests: [BenchmarkTest] = []
    for depth in depths {
      for count in generated where count > 0 {
        let test = BenchmarkTest.decode(tokens: count, depth: depth)
        if !tests.contains(test) { tests.append(test) }
      }
    }
    for length in promptTokens ?? [128, 512] where length > 0 {
      let test = BenchmarkTest.prompt(tokens: min(length, limit))
      if !tests.contains(test) { tests.append(test) }
    }
    for sequences in parallel ?? [] {
      for count in generated where count > 0 {
        let test = BenchmarkTest.parallel(sequences: sequences, tokens: count)
        if !tests.contains(test) { tests.append(test) }
      }
    }
    if tests.isEmpty {
      throw .invalidBenchmark(
        field: "--generate and --prompt-tokens", expected: "something to measure", found: "0")
    }
    var counts: [Int] = []
    for count in threads ?? [1, recommendedThreads] {
      try check("--threads", count, 1...1024)
      if !counts.contains(count) { counts.append(count) }
    }
    return Resolved(
      tests: tests, threads: counts,
      contextLength: contextLength ?? tests.reduce(1) { max($0, $1.positions) },
      cachePrecision: cachePrecision,
      repetitions: max(1, repetitions), memory: memory)
  }
}

/// One thing that is timed.
package enum BenchmarkTest: Sendable, Equatable {
  /// One token after another, behind `depth` positions.
  case decode(tokens: Int, depth: Int)
  /// All tokens at once, into an empty cache, up to the logits of the last.
  case prompt(tokens: Int)
  /// Tokens of several sequences, one after another of each, from empty caches.
  case parallel(sequences: Int, tokens: Int)

  /// `decode`, `prompt` or `parallel`.
  package var kind: String {
    switch self {
    case .decode: "decode"
    case .prompt: "prompt"
    case .parallel: "parallel"
    }
  }

  /// Of each sequence.
  package var tokens: Int {
    switch self {
    case .decode(let tokens, _), .prompt(let tokens), .parallel(_, let tokens): tokens
    }
  }

  package var sequences: Int {
    switch self {
    case .decode, .prompt: 1
    case .parallel(let sequences, _): sequences
    }
  }

  /// Of all sequences.
  package var totalTokens: Int { sequences * tokens }

  /// Positions in the cache before the clock starts.
  package var depth: Int {
    switch self {
    case .decode(_, let depth): depth
    case .prompt, .parallel: 0
    }
  }

  /// Positions in the cache at the end.
  package var positions: Int { tokens + depth }
}
