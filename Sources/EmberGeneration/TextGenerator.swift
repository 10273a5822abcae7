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
  private let speculation: Speculation?
  /// Where the positions of a text are looked up before they are computed, and kept for the next
  /// text that begins alike; nil for nowhere.
  public var sessionFile: SessionFile?

  /// - Parameters:
  ///   - session: of the same model; each text starts it anew.
  ///   - speculation: how tokens are guessed ahead; nil computes one after another. The text is the
  ///     same.
  public init(
    model: Model, tokenizer: Tokenizer, session: InferenceSession, speculation: Speculation? = nil
  ) {
    self.model = model
    self.tokenizer = tokenizer
    self.session = session
    self.speculation = speculation
  }

  public struct Options: Sendable {
    /// nil: until the end of the sequence or of the context.
    public var maximumTokens: Int?
    public var sampling: SamplingOptions
    public var seed: UInt64
    /// Generation ends before the first of these; they are not part of the text.
    public var stopStrings: [String]
    /// Tokens that end the text and are no part of it, besides the model's own.
    public var stopTokens: [Int32] = []
    /// What the text must follow; nil for anything. The text then ends where the grammar does.
    public var grammar: Grammar?
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

    /// - Throws: `GenerationError.invalidOption`, also for tokens that the model does not have.
    func validate(vocabularySize: Int) throws(GenerationError) {
      try validate()
      try sampling.validate(vocabularySize: vocabularySize)
      for id in stopTokens where id < 0 || id >= vocabularySize {
        throw .invalidOption(
          name: "stop-token", expected: "a token id of 0 to \(vocabularySize - 1)", found: "\(id)")
      }
    }

    /// Why a token ends the text, if it does.
    func reasonToStop(at id: Int32, _ tokenizer: Tokenizer) -> StopReason? {
      if stopTokens.contains(id) { return .stopToken }
      return stopsAtEndOfSequence && tokenizer.endsSequence(id) ? .endOfSequence : nil
    }
  }

  public enum StopReason: String, Sendable, Codable {
    case endOfSequence = "end_of_sequence"
    case maximumTokens = "maximum_tokens"
    case contextFull = "context_full"
    case stopString = "stop_string"
    case stopToken = "stop_token"
    /// Nothing more may follow by the grammar.
    case grammarComplete = "grammar_complete"
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
    /// Tokens that `decodeSeconds` gave; the first token comes from the prompt's logits.
    public var decodeSteps = 0
    /// Bytes read from the file meanwhile because they have no place in memory.
    public var decodeBytesStreamed = 0
    /// Passes over the weights in `decodeSeconds`.
    public var decodePasses = 0
    /// What was guessed ahead; nil where nothing was to be.
    public var speculation: Speculation.Statistics?
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
    /// Decoded tokens per pass over the weights: 1 where nothing was guessed ahead.
    public var tokensPerPass: Double {
      decodePasses > 0 ? Double(decodeSteps) / Double(decodePasses) : 1
    }
  }

  /// Computes the prompt and continues it.
  ///
  /// - Parameters:
  ///   - prompt: encoded the tokenizer's own way. An empty one is the beginning of a sequence, where
  ///     the tokenizer knows such a token.
  ///   - isCancelled: asked before each pass over the weights, so between any two tokens without
  ///     speculation, and between the chunks of the prompt.
  ///   - emit: takes the text as it comes, in whole characters; what may become a stop string is
  ///     held back until it has not.
  /// - Throws: `GenerationError`; `ModelError.noTokens` for an empty prompt without a token to begin
  ///   with; `SessionFileError` where the session file cannot be used, but not where it cannot be
  ///   written (see `Result.sessionFailure`); and what `emit` throws.
  public func generate(
    prompt: String, options: Options, isCancelled: () -> Bool = { false },
    emit: (String) throws -> Void
  ) throws -> Result {
    let options = options.forbidding(model.architecture.suppressedTokens)
    try options.validate(vocabularySize: model.architecture.vocabularySize)
    let answered = model.sourceAndStart(prompt, tokenizer)
    let history =
      try answered?.start
      ?? tokenizer.promptTokens(prompt, contextLength: session.contextLength)
    var result = Result(
      promptTokens: answered?.source.count ?? history.count, seed: options.seed)
    var output = TextOutput(tokenizer, after: history, stopStrings: options.stopStrings)
    let logits = try compute(
      answering: answered?.source, prompt: history, isCancelled, &result)
    if let logits {
      saveAfterPrompt(history, &result)
      var loop = try DecodeLoop(
        session: session, options: options, speculation: speculation, prompt: history,
        tokenizer: tokenizer)
      let streamed = session.bytesStreamed
      defer { result.decodeBytesStreamed = session.bytesStreamed - streamed }
      result.stopReason = try loop.run(logits, &result, isCancelled) { id in
        try output.append(id, emit)
      }
    } else {
      result.stopReason = .cancelled
    }
    if result.stopReason != .stopString { try output.finish(emit) }
    result.text = output.text
    save(history + result.ids, &result)
    return result
  }

  /// The logits after the prompt, or nil if cancelled.
  private func compute(
    answering source: [Int32]?, prompt: [Int32], _ isCancelled: () -> Bool, _ result: inout Result
  ) throws -> UnsafeMutableBufferPointer<Float>? {
    let restored = try restore(prompt, &result)
    let clock = ContinuousClock()
    let start = clock.now
    defer { result.promptSeconds = (clock.now - start).seconds }
    if let source {
      if sessionFile != nil { throw GenerationError.needsDecoder(option: "--session") }
      if isCancelled() { return nil }
      try session.encode(source)
    }
    var logits: UnsafeMutableBufferPointer<Float>?
    for first in stride(from: restored, to: prompt.count, by: session.chunkLength) {
      if isCancelled() { return nil }
      logits = try session.append(
        Array(prompt[first..<min(first + session.chunkLength, prompt.count)]))
    }
    return logits
  }
}
