import EmberModel

/// One model on its way through the windows of a text.
///
/// Positions whose predictions are not scored are computed without logits.
struct WindowRunner {
  let session: InferenceSession
  var score: WindowScore

  var path: String { session.model.file.path.string }

  /// - Parameters:
  ///   - memory: a plan with room for the windows.
  ///   - whileReading: called now and then while weights are read.
  /// - Throws: `ModelError.outOfMemory`, `.reading`
  init(
    model: Model, memory: MemoryPlan, windows: PerplexityProtocol, stride: Int, threads: Int?,
    whileReading: @escaping @Sendable (_ bytesDone: Int, _ bytesTotal: Int) -> Void
  ) throws(ModelError) {
    session = try InferenceSession(
      model: model, plan: memory, threads: threads, progress: whileReading)
    var applied = windows
    applied.stride = stride
    score = WindowScore(protocol: applied)
  }

  /// Starts a window: computes the positions before the first whose prediction is scored.
  mutating func begin(_ input: WindowInput) throws(ModelError) {
    session.truncate(to: 0)
    score.windows += 1
    score.positions += input.ids.count - 1
    if input.firstPredicting > 0 {
      _ = try session.append(Array(input.ids[..<input.firstPredicting]))
    }
  }

  /// Computes some of the positions whose predictions are scored, in turn, and adds to the score.
  ///
  /// - Parameter body: gets the index inside `positions`, the logits and their softmax.
  mutating func run(
    _ input: WindowInput, positions: Range<Int>, _ softmax: inout LogSoftmax,
    _ body: (
      _ index: Int, _ logits: UnsafeBufferPointer<Float>, _ row: SoftmaxRow,
      _ softmax: inout LogSoftmax
    ) -> Void = { _, _, _, _ in }
  ) throws {
    var values: [Double] = []
    values.reserveCapacity(positions.count)
    try session.append(Array(input.ids[positions])) { index, logits in
      let logits = UnsafeBufferPointer(logits)
      let position = positions.lowerBound + index
      guard let row = softmax.measure(logits) else {
        throw EvaluationError.notFinite(path: path, window: input.index, position: position)
      }
      values.append(row.logSum - Double(logits[Int(input.ids[position + 1])]))
      body(index, logits, row, &softmax)
    }
    score.negativeLogLikelihoods += values
  }
}

/// The tokens of one window as they enter a model.
struct WindowInput {
  let index: Int
  /// The beginning-of-sequence token, if the protocol has one, and the window's part of the text.
  /// The last is only predicted, not computed.
  let ids: [Int32]
  /// Positions whose predictions are scored: from here to the last but one.
  let firstPredicting: Int

  init(_ plan: WindowPlan, _ index: Int, _ text: EvaluationText, begin: Int32?) {
    let window = plan[index]
    self.index = index
    ids = (begin.map { [$0] } ?? []) + text.ids[window.start..<window.start + window.tokenCount]
    firstPredicting = window.firstScored - 1
  }

  var predicting: Range<Int> { firstPredicting..<ids.count - 1 }
}

/// The windows of a text, ready to be run.
struct PreparedText {
  let text: EvaluationText
  let plan: WindowPlan
  private let begin: Int32?

  /// - Throws: `EvaluationError` for a protocol or text that cannot be, `ModelError.unknownToken`
  ///   for ids outside the model's vocabulary.
  init(
    _ text: EvaluationText, _ windows: PerplexityProtocol, beginOfSequence: Int32?,
    vocabularySize: Int
  ) throws {
    plan = try WindowPlan(windows, tokens: text.ids.count)
    begin = windows.addsBeginOfSequence ? beginOfSequence : nil
    if windows.addsBeginOfSequence, begin == nil { throw EvaluationError.noBeginOfSequence }
    // Every id is an index into the logits, also those that never enter the model.
    if let bad = text.ids.first(where: { $0 < 0 || $0 >= vocabularySize }) {
      throw ModelError.unknownToken(id: bad, vocabularySize: vocabularySize)
    }
    self.text = text
  }

  func window(_ index: Int) -> WindowInput { WindowInput(plan, index, text, begin: begin) }
}
