import EmberModel

extension ParallelGenerator {
  /// Continues one prompt several times, each with a seed of its own, in one pass over the weights
  /// for a token of all. The prompt is computed once, and its positions are copied.
  ///
  /// - Parameters:
  ///   - count: how many, at most the sequences of the session. Number `i` is exactly what
  ///     `TextGenerator` makes with the seed that is `seed(_:ofPrompt:)` of `i`; with one sample the
  ///     seed is that of the options.
  ///   - isCancelled: asked before each step; the texts are then as far as they have come.
  /// - Returns: the texts, in the order of their seeds.
  /// - Throws: `GenerationError`, `ModelError`
  public func samples(
    prompt: String, count: Int, options: TextGenerator.Options,
    isCancelled: () -> Bool = { false }, progress report: (Progress) -> Void = { _ in }
  ) throws -> [Result] {
    let options = options.forbidding(session.model.architecture.suppressedTokens)
    let grammarTokens = try prepare(options)
    if !(1...session.sequenceCount).contains(count) {
      throw GenerationError.invalidOption(
        name: "samples", expected: "1 to \(session.sequenceCount), the sequences of the session",
        found: "\(count)")
    }
    let tokens = try session.begin(prompt, tokenizer)
    var progress = Progress()
    var active: [ParallelText?] = try (0..<count).map { index in
      try ParallelText(
        index: index, seed: count == 1 ? options.seed : Self.seed(options.seed, ofPrompt: index),
        prompt: tokens, sourceTokens: session.sourceLength, options: options, tokenizer: tokenizer,
        kernels: session.kernels,
        grammarTokens: grammarTokens)
    }
    if let logits = try session.read(prompt: tokens, isCancelled: isCancelled) {
      progress.promptTokens = max(tokens.count, session.sourceLength)
      for slot in active.indices {
        if slot > 0 { session.copy(sequence: 0, to: slot) }
        active[slot]?.readTokens = tokens.count
        // Each changes its own.
        var row = logits
        row.withUnsafeMutableBufferPointer {
          active[slot]?.choose($0, contextLength: session.contextLength)
        }
        progress.generatedTokens += active[slot]?.ids.count ?? 0
      }
    }
    var results: [Result?] = Array(repeating: nil, count: count)
    func collect() {
      for slot in active.indices {
        guard let result = active[slot]?.result else { continue }
        progress.finishedPrompts += 1
        results[slot] = result
        active[slot] = nil
      }
      report(progress)
    }
    collect()
    while active.contains(where: { $0 != nil }), !isCancelled() {
      try step(&active, &progress)
      collect()
    }
    return results.indices.compactMap { results[$0] ?? active[$0]?.cancelled() }
  }
}

extension ParallelSession {
  /// Computes a prompt as sequence 0, after forgetting all sequences.
  ///
  /// - Returns: the logits after it, or nil if cancelled.
  func read(
    prompt: [Int32], isCancelled: () -> Bool
  ) throws(ModelError) -> [Float]? {
    for sequence in 0..<sequenceCount { reset(sequence: sequence) }
    for first in stride(from: 0, to: prompt.count, by: stepCapacity) {
      if isCancelled() { return nil }
      let end = min(first + stepCapacity, prompt.count)
      let logits = try append([
        Addition(
          sequence: 0, tokens: Array(prompt[first..<end]), wantsLogits: end == prompt.count)
      ])
      if end == prompt.count { return Array(logits[0]) }
    }
    return nil
  }
}
