import Ember

/// Answers conversations, one after another, with one key/value cache: of each, only the tokens are
/// computed that the last one did not have.
final class ChatEngine {
  let layout: ChatLayout
  let session: InferenceSession
  private let tokenizer: Tokenizer
  private let options: TextGenerator.Options
  /// The tokens that are in the cache.
  private var computed: [Int32] = []
  /// Texts that end in a reply, and their tokens as the model wrote them, the newest last.
  private var remembered: [(text: String, tokens: [Int32])] = []
  /// Each reply draws with the next seed.
  private var nextSeed: UInt64

  private static let rememberedCount = 8

  init(
    _ loaded: LoadedModel, session: InferenceSession, layout: ChatLayout,
    options: TextGenerator.Options
  ) {
    tokenizer = loaded.tokenizer
    self.session = session
    self.layout = layout
    self.options = options
    nextSeed = options.seed
  }

  /// A reply and how it came about.
  struct Reply {
    var text = ""
    var stopReason = TextGenerator.StopReason.maximumTokens
    var seed: UInt64
    /// Of the conversation, without the reply.
    var promptTokens = 0
    /// Of them, those that were in the cache already.
    var cachedTokens = 0
    var generatedTokens = 0
    var promptSeconds = 0.0
    /// Of the tokens after the first.
    var decodeSeconds = 0.0
    /// Messages that were left out because the context is full.
    var droppedMessages = 0

    var tokensPerSecond: Double? {
      generatedTokens > 1 && decodeSeconds > 0 ? Double(generatedTokens - 1) / decodeSeconds : nil
    }
    var promptTokensPerSecond: Double? {
      promptSeconds > 0 ? Double(promptTokens - cachedTokens) / promptSeconds : nil
    }
  }

  /// Tokens of the conversation as the model would read it now, and the text behind them.
  func prompt(_ conversation: Conversation) throws -> (text: String, tokens: [Int32]) {
    let chat = try layout.render(conversation)
    for (text, tokens) in remembered.reversed() {
      if let rest = chat.rest(after: text), let more = layout.continuation(rest) {
        return (chat.string, tokens + more)
      }
    }
    return (chat.string, layout.tokens(chat))
  }

  /// Positions that the conversation takes as it stands: after a reply, the reply's last token is the
  /// last of them, and what the template writes before the next one does not count yet.
  ///
  /// - Parameter dropsOldest: whether the oldest turns may have been left out of what was computed.
  func usedPositions(_ conversation: Conversation, dropsOldest: Bool) throws -> Int {
    if conversation.messages.isEmpty { return 0 }
    var computed: Conversation? = conversation
    while let candidate = computed {
      let chat = try layout.render(candidate)
      let asWritten = remembered.last { text, _ in
        chat.rest(after: text).map { rest in !rest.pieces.contains(where: \.isContent) } == true
      }
      if let asWritten { return asWritten.tokens.count }
      computed = dropsOldest ? candidate.withoutOldestTurn : nil
    }
    return try prompt(conversation).tokens.count
  }

  /// The model's answer to the conversation.
  ///
  /// - Parameters:
  ///   - dropsOldest: whether the oldest turns are left out where the context is too small.
  ///   - progress: tokens of the prompt that are computed, and all that have to be.
  ///   - emit: takes the text as it comes.
  /// - Throws: `ChatError`, `ModelError`, `GenerationError`, and what `emit` throws.
  func reply(
    to conversation: Conversation, dropsOldest: Bool, isCancelled: () -> Bool,
    progress: (_ done: Int, _ total: Int) -> Void, emit: (String) throws -> Void
  ) throws -> Reply {
    var reply = Reply(seed: nextSeed)
    let (text, tokens) = try fittingPrompt(conversation, dropsOldest: dropsOldest, &reply)
    nextSeed &+= 1
    reply.promptTokens = tokens.count
    guard let logits = try compute(tokens, &reply, isCancelled, progress) else {
      reply.stopReason = .cancelled
      return reply
    }
    try generate(logits, after: tokens, &reply, isCancelled, emit)
    // A text that stopped before a stop string has other tokens than were computed.
    if reply.stopReason == .stopString { return reply }
    remembered.append((text + reply.text, computed + pending))
    remembered.removeFirst(max(0, remembered.count - Self.rememberedCount))
    return reply
  }

  private func fittingPrompt(
    _ conversation: Conversation, dropsOldest: Bool, _ reply: inout Reply
  ) throws -> (text: String, tokens: [Int32]) {
    var conversation = conversation
    let count = conversation.messages.count
    let room = min(options.maximumTokens ?? .max, session.contextLength / 4)
    while true {
      let prompt = try prompt(conversation)
      reply.droppedMessages = count - conversation.messages.count
      if prompt.tokens.isEmpty { throw ChatError.emptyPrompt }
      if dropsOldest, prompt.tokens.count > session.contextLength - room,
        let shorter = conversation.withoutOldestTurn
      {
        conversation = shorter
        continue
      }
      // The reply needs a place, too.
      if prompt.tokens.count < session.contextLength { return prompt }
      throw ChatError.tooLong(tokens: prompt.tokens.count, context: session.contextLength)
    }
  }

  /// The logits after the tokens, or nil if cancelled.
  private func compute(
    _ tokens: [Int32], _ reply: inout Reply, _ isCancelled: () -> Bool,
    _ progress: (Int, Int) -> Void
  ) throws -> UnsafeMutableBufferPointer<Float>? {
    let clock = ContinuousClock()
    let start = clock.now
    defer { reply.promptSeconds = (clock.now - start) / .seconds(1) }
    let common = zip(computed, tokens).prefix { $0 == $1 }.count
    // The logits come with the last token.
    let kept = forget(from: min(common, tokens.count - 1))
    reply.cachedTokens = kept
    var logits: UnsafeMutableBufferPointer<Float>?
    for first in stride(from: kept, to: tokens.count, by: session.chunkLength) {
      if isCancelled() { return nil }
      progress(first - kept, tokens.count - kept)
      logits = try append(Array(tokens[first..<min(first + session.chunkLength, tokens.count)]))
    }
    return logits
  }

  /// The last token of a reply, which has not been computed.
  private var pending: [Int32] = []

  /// Returns how many positions are left: that many, or none where a window has moved on.
  private func forget(from position: Int) -> Int {
    let kept = session.truncate(to: position)
    computed.removeLast(computed.count - kept)
    pending = []
    return kept
  }

  private func append(_ tokens: [Int32]) throws -> UnsafeMutableBufferPointer<Float> {
    let logits = try session.append(tokens)
    computed += tokens
    return logits
  }

  private func generate(
    _ logits: UnsafeMutableBufferPointer<Float>, after prompt: [Int32], _ reply: inout Reply,
    _ isCancelled: () -> Bool, _ emit: (String) throws -> Void
  ) throws {
    let clock = ContinuousClock()
    var sampler = Sampler(
      options: options.sampling, seed: reply.seed, promptLength: prompt.count,
      kernels: session.kernels)
    var decoder = tokenizer.streamDecoder(after: prompt.last)
    var matcher = StopStringMatcher(layout.stopStrings)
    var logits = logits
    func hand(_ text: String) throws {
      if text.isEmpty { return }
      reply.text += text
      try emit(text)
    }
    reply.stopReason = .contextFull
    var history = prompt
    while true {
      if isCancelled() {
        reply.stopReason = .cancelled
        break
      }
      let start = clock.now
      if let last = pending.first {
        if session.position >= session.contextLength { break }
        pending = []
        logits = try append([last])
      }
      let id = try sampler.next(logits, history: history)
      if reply.generatedTokens > 0 { reply.decodeSeconds += (clock.now - start) / .seconds(1) }
      if layout.stopTokens.contains(id), options.stopsAtEndOfSequence {
        reply.stopReason = .endOfSequence
        break
      }
      reply.generatedTokens += 1
      history.append(id)
      pending = [id]
      let (shown, stops) = matcher.append(decoder.append(id))
      try hand(shown)
      if stops {
        reply.stopReason = .stopString
        return
      }
      if let most = options.maximumTokens, reply.generatedTokens >= most {
        reply.stopReason = .maximumTokens
        break
      }
    }
    let (shown, stops) = matcher.append(decoder.finish())
    try hand(shown)
    if !stops { try hand(matcher.finish()) }
  }
}
