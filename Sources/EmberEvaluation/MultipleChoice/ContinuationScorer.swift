import EmberModel

/// Σ log p of the ends of texts, of which one often begins like the one before.
struct ContinuationScorer {
  let session: InferenceSession
  private(set) var tokensScored = 0
  /// What the session holds.
  private var held: [Int32] = []
  private var softmax = LogSoftmax()

  init(session: InferenceSession) { self.session = session }

  /// - Parameters:
  ///   - ids: more than the context holds are cut off at the beginning.
  ///   - first: of the tokens that are scored, at least 1.
  ///   - question: for the error.
  /// - Returns: in nats.
  /// - Throws: `EvaluationError.notFinite`, `ModelError`
  mutating func logLikelihood(
    _ ids: [Int32], from first: Int, question: Int
  ) throws -> Double {
    let excess = max(0, ids.count - 1 - session.contextLength)
    let ids = Array(ids.dropFirst(excess))
    let first = max(1, first - excess)
    let inputs = ids.dropLast()
    // The logits behind the last token of the context are needed, so it is computed anew.
    let common = session.truncate(
      to: min(zip(held, inputs).prefix { $0 == $1 }.count, first - 1))
    held = []
    if common < first - 1 { _ = try session.append(Array(inputs[common..<first - 1])) }
    var sum = 0.0
    try session.append(Array(inputs[(first - 1)...])) { index, logits in
      let logits = UnsafeBufferPointer(logits)
      guard let row = softmax.measure(logits) else {
        throw EvaluationError.notFinite(
          path: session.model.file.path.string, window: question, position: first - 1 + index)
      }
      sum += Double(logits[Int(ids[first + index])]) - row.logSum
    }
    held = Array(inputs)
    tokensScored += ids.count - first
    return sum
  }
}
