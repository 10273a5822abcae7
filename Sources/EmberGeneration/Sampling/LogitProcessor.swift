/// The steps that change logits because of what the text has already: bias and penalties.
///
/// One call is O(tokens of the text) and allocates nothing after the first.
struct LogitProcessor: Sendable {
  private let options: SamplingOptions
  /// Tokens at the beginning of every history that were not sampled.
  private let promptLength: Int
  /// One bit per id, all clear between calls.
  private var seen: [UInt64] = []
  /// How often each id was sampled; all 0 between calls.
  private var counts: [Int32] = []

  init(_ options: SamplingOptions, promptLength: Int) {
    self.options = options
    self.promptLength = max(0, promptLength)
  }

  /// Whether tokens may be forbidden.
  var forbids: Bool {
    options.noRepeatNGram > 0 || options.logitBias.contains { $0.value == -.infinity }
  }

  mutating func apply(_ logits: UnsafeMutableBufferPointer<Float>, _ history: [Int32]) {
    for bias in options.logitBias where logits.indices.contains(Int(bias.id)) {
      logits[Int(bias.id)] += bias.value
    }
    weakenRecent(logits, history)
    weakenSampled(logits, history)
    forbidNGrams(logits, history)
  }

  /// Keskar et al. 2019, as transformers' `RepetitionPenaltyLogitsProcessor` has it: once per token,
  /// however often it came.
  private mutating func weakenRecent(
    _ logits: UnsafeMutableBufferPointer<Float>, _ history: [Int32]
  ) {
    let penalty = options.repetitionPenalty
    if penalty == 1 || options.repetitionWindow <= 0 { return }
    if seen.count * 64 < logits.count {
      seen = [UInt64](repeating: 0, count: (logits.count + 63) / 64)
    }
    let recent = history.suffix(options.repetitionWindow)
    for id in recent where logits.indices.contains(Int(id)) {
      let (word, bit) = (Int(id) / 64, UInt64(1) << UInt64(id % 64))
      if seen[word] & bit != 0 { continue }
      seen[word] |= bit
      let logit = logits[Int(id)]
      logits[Int(id)] = logit > 0 ? logit / penalty : logit * penalty
    }
    for id in recent where logits.indices.contains(Int(id)) { seen[Int(id) / 64] = 0 }
  }

  /// logit − count · frequency − [count > 0] · presence (OpenAI's API reference).
  private mutating func weakenSampled(
    _ logits: UnsafeMutableBufferPointer<Float>, _ history: [Int32]
  ) {
    let (presence, frequency) = (options.presencePenalty, options.frequencyPenalty)
    if presence == 0 && frequency == 0 { return }
    if counts.count < logits.count { counts = [Int32](repeating: 0, count: logits.count) }
    let sampled = history.dropFirst(promptLength)
    // A text has fewer tokens than an Int32 counts.
    for id in sampled where logits.indices.contains(Int(id)) { counts[Int(id)] &+= 1 }
    for id in sampled where logits.indices.contains(Int(id)) && counts[Int(id)] > 0 {
      logits[Int(id)] -= Float(counts[Int(id)]) * frequency + presence
      counts[Int(id)] = 0
    }
  }

  /// Forbids every token that followed, somewhere in the text, what the text ends with now
  /// (transformers' `NoRepeatNGramLogitsProcessor`).
  private func forbidNGrams(
    _ logits: UnsafeMutableBufferPointer<Float>, _ history: [Int32]
  ) {
    let size = options.noRepeatNGram
    if size <= 0 || history.count < size { return }
    let end = history.count
    for last in size - 1..<end where logits.indices.contains(Int(history[last])) {
      var length = 0
      while length < size - 1, history[last - 1 - length] == history[end - 1 - length] {
        length += 1
      }
      if length == size - 1 { logits[Int(history[last])] = -.infinity }
    }
  }
}
