public import EmberModel
public import EmberTokenizer
import Foundation

/// Continues a prompt by contrastive search (Su et al. 2022, *A contrastive framework for neural text
/// generation*): of the k most probable tokens the one with the largest
///
///     (1 − α) · p(v) − α · max over j of cos(h(v), h(j))
///
/// where h(v) is the state of the last layer, behind the final norm, if the token is v, and h(j) are
/// those of the text so far. It is deterministic and avoids the loops of greedy search.
///
/// Each step computes the k candidates together, in one pass over the weights. The prompt is computed
/// token by token, since the state of each of its positions is needed.
public final class ContrastiveGenerator {
  private let tokenizer: Tokenizer
  private let session: ParallelSession

  /// - Parameter session: of the same model, with as many sequences as there will be candidates.
  public init(model: Model, tokenizer: Tokenizer, session: ParallelSession) {
    precondition(model === session.model, "the session is of another model")
    self.tokenizer = tokenizer
    self.session = session
  }

  /// - Parameters:
  ///   - options: without a grammar; of the sampling, only bias and penalties count.
  ///   - isCancelled: asked before each pass over the weights.
  ///   - emit: takes the text as it comes, in whole characters.
  /// - Throws: `GenerationError`, `ModelError`, and what `emit` throws.
  public func generate(
    prompt: String, search: ContrastiveOptions, options: TextGenerator.Options,
    isCancelled: () -> Bool = { false }, emit: (String) throws -> Void
  ) throws -> TextGenerator.Result {
    let options = options.forbidding(session.model.architecture.suppressedTokens)
    try check(search, options)
    var history = try session.begin(prompt, tokenizer)
    var result = TextGenerator.Result(
      promptTokens: max(history.count, session.sourceLength), seed: options.seed)
    var output = TextOutput(tokenizer, after: history, stopStrings: options.stopStrings)
    var sampler = Sampler(
      options: options.sampling, seed: 0, promptLength: history.count, kernels: session.kernels)
    let clock = ContinuousClock()
    var start = clock.now
    result.stopReason = .cancelled
    guard var state = try read(history, isCancelled) else { return result }
    result.promptSeconds = (clock.now - start).seconds
    result.stopReason = try { () throws -> TextGenerator.StopReason in
      while true {
        if result.ids.count >= options.maximumTokens ?? .max { return .maximumTokens }
        if isCancelled() { return .cancelled }
        if history.count >= session.contextLength { return .contextFull }
        start = clock.now
        var logits = state.logits
        let id = try logits.withUnsafeMutableBufferPointer { logits throws in
          sampler.process(logits, history: history)
          return try choose(logits, search, &state, history)
        }
        result.decodeSeconds += (clock.now - start).seconds
        result.decodePasses += 1
        result.decodeSteps += 1
        if let reason = options.reasonToStop(at: id, tokenizer) { return reason }
        history.append(id)
        result.ids.append(id)
        if try output.append(id, emit) { return .stopString }
      }
    }()
    if result.stopReason != .stopString { try output.finish(emit) }
    result.text = output.text
    return result
  }

  /// The text so far, as the next choice needs it.
  private struct State {
    /// After the last token, [vocabularySize].
    var logits: [Float]
    /// Of all positions, each of length 1: [positions][width].
    var directions: [Float] = []

    mutating func append(_ hidden: UnsafeBufferPointer<Float>) {
      let length = hidden.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
      directions.reserveCapacity(directions.count + hidden.count)
      for value in hidden { directions.append(Float(Double(value) / max(length, 1e-30))) }
    }

    /// The largest cosine between a state and those so far.
    func similarity(_ hidden: UnsafeBufferPointer<Float>) -> Double {
      let length = hidden.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
      var largest = -Double.infinity
      for first in stride(from: 0, to: directions.count, by: hidden.count) {
        var sum: Float = 0
        for i in 0..<hidden.count { sum += directions[first + i] * hidden[i] }
        largest = max(largest, Double(sum) / max(length, 1e-30))
      }
      return largest
    }
  }

  private func check(
    _ search: ContrastiveOptions, _ options: TextGenerator.Options
  ) throws(GenerationError) {
    try search.validate()
    try options.validate(vocabularySize: session.model.architecture.vocabularySize)
    if search.candidates > session.sequenceCount {
      throw .invalidOption(
        name: "contrastive",
        expected: "at most \(session.sequenceCount), the sequences of the session",
        found: "\(search.candidates)")
    }
    if options.grammar != nil {
      throw .invalidOption(name: "contrastive", expected: "no grammar with it", found: "one")
    }
  }

  /// Computes the prompt in all sequences; nil if cancelled.
  private func read(_ prompt: [Int32], _ isCancelled: () -> Bool) throws(ModelError) -> State? {
    for sequence in 0..<session.sequenceCount { session.reset(sequence: sequence) }
    var state = State(logits: [])
    for (index, id) in prompt.enumerated() {
      if isCancelled() { return nil }
      let logits = try session.append([.init(sequence: 0, tokens: [id], wantsLogits: true)])
      state.append(session.hiddenState(ofLogits: 0))
      if index + 1 == prompt.count { state.logits = Array(logits[0]) }
    }
    for sequence in 1..<max(1, session.sequenceCount) { session.copy(sequence: 0, to: sequence) }
    return state
  }

  /// The next token, which is then in the cache of all sequences.
  private func choose(
    _ logits: UnsafeMutableBufferPointer<Float>, _ search: ContrastiveOptions,
    _ state: inout State, _ history: [Int32]
  ) throws -> Int32 {
    let candidates = try Self.mostProbable(
      search.candidates, LogProbabilities.of(logits, position: history.count))
    let position = session.position(of: 0)
    let next = try session.append(
      candidates.indices.map {
        .init(sequence: $0, tokens: [candidates[$0].id], wantsLogits: true)
      })
    var best = 0
    var largest = -Double.infinity
    for (index, candidate) in candidates.enumerated() {
      let similarity = state.similarity(session.hiddenState(ofLogits: index))
      let score = (1 - search.penalty) * candidate.probability - search.penalty * similarity
      if score > largest { (best, largest) = (index, score) }
    }
    state.append(session.hiddenState(ofLogits: best))
    state.logits = Array(next[best])
    for sequence in 0..<session.sequenceCount {
      session.copy(sequence: best, to: sequence, from: position)
    }
    return candidates[best].id
  }

  /// The most probable first; of equal ones, the lower id.
  private static func mostProbable(
    _ count: Int, _ scores: [Float]
  ) -> [(id: Int32, probability: Double)] {
    let order = scores.indices.filter { scores[$0] > -.infinity }.sorted {
      scores[$0] != scores[$1] ? scores[$0] > scores[$1] : $0 < $1
    }
    return order.prefix(count).map { (Int32($0), exp(Double(scores[$0]))) }
  }
}
