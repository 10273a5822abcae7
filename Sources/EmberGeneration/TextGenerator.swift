public import EmberModel
public import EmberTokenizer

/// Continues a prompt: one text, streamed as it is made.
///
/// ```swift
/// let model = try Model(opening: "model.q4")
/// let tokenizer = try Tokenizer(serialized: model.file.tokenizer)
/// let generator = TextGenerator(
///   model: model, tokenizer: tokenizer, session: try InferenceSession(model: model))
/// let result = try generator.generate(prompt: "Once upon a time", options: .init()) {
///   print($0, terminator: "")
/// }
/// ```
///
/// Generation ends where the model ends the text, at `maximumTokens`, at a stop string, or when the
/// context is full: Ember stops there rather than forget the beginning in silence. It is no chat:
/// the prompt is continued as it stands.
public final class TextGenerator {
  private let model: Model
  private let tokenizer: Tokenizer
  let session: InferenceSession
  /// Where the positions of a text are looked up before they are computed, and kept for the next
  /// text that begins alike; nil for nowhere.
  public var sessionFile: SessionFile?

  /// - Parameter session: of the same model; each text starts it anew.
  public init(model: Model, tokenizer: Tokenizer, session: InferenceSession) {
    self.model = model
    self.tokenizer = tokenizer
    self.session = session
  }

  public struct Options: Sendable {
    /// nil: until the end of the sequence or of the context.
    public var maximumTokens: Int?
    public var sampling: SamplingOptions
    public var seed: UInt64
    /// Generation ends before the first of these; they are not part of the text.
    public var stopStrings: [String]
    /// Whether the end-of-sequence token ends the text, or the beginning-of-sequence token, with
    /// which models that were trained on text after text (llama2.c's) begin the next.
    public var stopsAtEndOfSequence = true

    public init(
      maximumTokens: Int? = nil, sampling: SamplingOptions = SamplingOptions(),
      seed: UInt64 = .random(in: .min ... .max), stopStrings: [String] = [],
      stopsAtEndOfSequence: Bool = true
    ) {
      self.maximumTokens = maximumTokens
      self.sampling = sampling
      self.seed = seed
      self.stopStrings = stopStrings
      self.stopsAtEndOfSequence = stopsAtEndOfSequence
    }

    /// - Throws: `GenerationError.invalidOption`
    public func validate() throws(GenerationError) {
      try sampling.validate()
      if let maximumTokens, maximumTokens < 0 {
        throw .invalidOption(
          name: "maximum tokens", expected: "0 or more", found: "\(maximumTokens)")
      }
      if stopStrings.contains("") {
        throw .invalidOption(
          name: "stop", expected: "a text to stop at", found: "an empty one")
      }
    }
  }

  public enum StopReason: String, Sendable, Codable {
    case endOfSequence = "end_of_sequence"
    case maximumTokens = "maximum_tokens"
    case contextFull = "context_full"
    case stopString = "stop_string"
    case cancelled
  }

  public struct Result: Sendable {
    public var promptTokens = 0
    /// Tokens of the text, without the one that ended the sequence.
    public var generatedTokens: Int { ids.count }
    /// Computing the prompt, up to the first logits.
    public var promptSeconds = 0.0
    /// Computing and choosing the tokens after the first; handing out text is not counted.
    public var decodeSeconds = 0.0
    /// Tokens computed one at a time; the first token comes from the prompt's logits.
    public var decodeSteps = 0
    public var stopReason = StopReason.maximumTokens
    /// Reproduces the text.
    public var seed: UInt64
    /// The generated text, without the prompt.
    public var text = ""
    public var ids: [Int32] = []
    /// Tokens of the prompt that the session file had, so that they were not computed.
    public var restoredTokens = 0
    /// What the session file was read and written for before the first token, in seconds.
    public var sessionSeconds = 0.0
    /// Bytes of the session file at the end; 0 without one.
    public var sessionFileBytes = 0
    /// Why the session file could not be written; the text is whole all the same.
    public var sessionFailure: SessionFileError?

    /// Of the tokens that were computed.
    public var promptTokensPerSecond: Double {
      promptSeconds > 0 ? Double(promptTokens - restoredTokens) / promptSeconds : 0
    }
    public var decodeTokensPerSecond: Double {
      decodeSeconds > 0 ? Double(decodeSteps) / decodeSeconds : 0
    }
  }

  /// Computes the prompt and continues it.
  ///
  /// - Parameters:
  ///   - prompt: encoded the tokenizer's own way. An empty one is the beginning of a sequence, where
  ///     the tokenizer knows such a token.
  ///   - isCancelled: asked before each token, and between the chunks of the prompt.
  ///   - emit: takes the text as it comes, in whole characters; what may become a stop string is
  ///     held back until it has not.
  /// - Throws: `GenerationError`; `ModelError.noTokens` for an empty prompt without a token to begin
  ///   with; `SessionFileError` where the session file cannot be used, but not where it cannot be
  ///   written (see `Result.sessionFailure`); and what `emit` throws.
  public func generate(
    prompt: String, options: Options, isCancelled: () -> Bool = { false },
    emit: (String) throws -> Void
  ) throws -> Result {
    try options.validate()
    var history = tokenizer.encode(prompt)
    if history.isEmpty, let begin = tokenizer.beginOfSequence { history = [begin] }
    if history.isEmpty { throw ModelError.noTokens }
    if history.count > session.contextLength {
      throw GenerationError.promptTooLong(tokens: history.count, context: session.contextLength)
    }
    var result = Result(promptTokens: history.count, seed: options.seed)
    var output = TextOutput(
      decoder: tokenizer.streamDecoder(after: history.last),
      matcher: StopStringMatcher(options.stopStrings))
    var logits = try compute(prompt: history, isCancelled, &result)
    if logits != nil {
      saveAfterPrompt(history, &result)
      result.stopReason = try decode(
        &logits, &history, options, &result, &output, isCancelled, emit)
    } else {
      result.stopReason = .cancelled
    }
    if result.stopReason != .stopString { try output.finish(emit) }
    result.text = output.text
    save(history, &result)
    return result
  }

  /// The logits after the prompt, or nil if cancelled.
  private func compute(
    prompt: [Int32], _ isCancelled: () -> Bool, _ result: inout Result
  ) throws -> UnsafeMutableBufferPointer<Float>? {
    let restored = try restore(prompt, &result)
    let clock = ContinuousClock()
    let start = clock.now
    defer { result.promptSeconds = (clock.now - start).seconds }
    var logits: UnsafeMutableBufferPointer<Float>?
    for first in stride(from: restored, to: prompt.count, by: session.chunkLength) {
      if isCancelled() { return nil }
      logits = try session.append(
        Array(prompt[first..<min(first + session.chunkLength, prompt.count)]))
    }
    return logits
  }

  /// Token by token, until there is a reason to stop.
  private func decode(
    _ logits: inout UnsafeMutableBufferPointer<Float>?, _ history: inout [Int32],
    _ options: Options, _ result: inout Result, _ output: inout TextOutput,
    _ isCancelled: () -> Bool, _ emit: (String) throws -> Void
  ) throws -> StopReason {
    let clock = ContinuousClock()
    var sampler = Sampler(
      options: options.sampling, seed: options.seed, kernels: session.kernels)
    // Room for the whole text, so that a token allocates nothing.
    let room = min(
      options.maximumTokens ?? .max, session.contextLength - session.position + 1)
    history.reserveCapacity(history.count + room)
    result.ids.reserveCapacity(room)
    var last: [Int32] = []
    last.reserveCapacity(1)
    while true {
      if let maximum = options.maximumTokens, result.ids.count >= maximum { return .maximumTokens }
      if isCancelled() { return .cancelled }
      let start = clock.now
      if !last.isEmpty {
        if session.position >= session.contextLength { return .contextFull }
        logits = try session.append(last)
      }
      guard let current = logits else { return .cancelled }
      let id = try sampler.next(current, history: history)
      if !last.isEmpty {
        result.decodeSeconds += (clock.now - start).seconds
        result.decodeSteps += 1
      }
      if options.stopsAtEndOfSequence, endsSequence(id) { return .endOfSequence }
      history.append(id)
      result.ids.append(id)
      last.removeAll(keepingCapacity: true)
      last.append(id)
      if try output.append(id, emit) { return .stopString }
    }
  }

  private func endsSequence(_ id: Int32) -> Bool {
    id == tokenizer.endOfSequence || id == tokenizer.beginOfSequence
  }
}

/// From ids to the text that is handed out.
private struct TextOutput {
  var decoder: StreamDecoder
  var matcher: StopStringMatcher
  var text = ""

  /// Whether a stop string is complete.
  mutating func append(_ id: Int32, _ emit: (String) throws -> Void) throws -> Bool {
    let (shown, stops) = matcher.append(decoder.append(id))
    try hand(shown, emit)
    return stops
  }

  mutating func finish(_ emit: (String) throws -> Void) throws {
    let (shown, stops) = matcher.append(decoder.finish())
    try hand(shown, emit)
    if !stops { try hand(matcher.finish(), emit) }
  }

  private mutating func hand(_ piece: String, _ emit: (String) throws -> Void) throws {
    if piece.isEmpty { return }
    text += piece
    try emit(piece)
  }
}
