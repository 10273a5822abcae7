import ArgumentParser
import Ember

/// `ember run`: a prompt is continued, streamed as it is made.
struct RunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run",
    abstract: "Continue a prompt.",
    discussion: """
      Prints the continuation, without the prompt, as it is made; then, on standard error, the \
      seed, the speed and where the memory went. Without --prompt or --prompt-file the prompt \
      comes from standard input. One newline at the end of a prompt from a file or from standard \
      input is dropped.

        ember run model.q4 --prompt "Once upon a time"
        ember run model.q4 --prompt "Once upon a time" --temperature 0 -n 64 --echo
        ember run model.q4 --seed 42 --stop "The end" < prompt.txt
        ember run model.q4 --prompt-file book.txt --session book.session

      The text ends where the model ends it, at --max-tokens, before a --stop text, or when the \
      context is full. Ctrl-C ends it after the current token. docs/decoding.md explains the ways to \
      choose tokens and their order.

        ember run model.q4 --prompt "Once upon a time" --samples 4 --seed 1
        ember run model.q4 --prompt "Once upon a time" --beams 4 --return 2 -n 32
        ember run model.q4 --prompt "A person: " --json-schema person.json

        ember run model.q4 --prompts prompts.txt --parallel 8 --output results.jsonl

      continues many prompts together, faster than one after another: a line of JSON for each, in \
      order (docs/json.md). What was interrupted goes on with the same command, to the same bytes.
      """)

  @OptionGroup var model: ModelArgument

  @Option(
    name: .shortAndLong,
    help: ArgumentHelp("Text to continue. (default: standard input)", valueName: "text"))
  var prompt: String?

  @Option(
    name: .long,
    help: ArgumentHelp("File with the text to continue; - is standard input.", valueName: "file"),
    completion: .file(), transform: filePath)
  var promptFile: FilePath?

  @Option(
    name: [.customShort("n"), .long], parsing: .unconditional,
    help: ArgumentHelp("Most tokens to generate, 0 or more. (default: 256)", valueName: "count"),
    transform: wholeNumber)
  var maxTokens = 256

  @OptionGroup(title: "Sampling") var sampling: SamplingOptionGroup

  @OptionGroup(title: "Against repetition") var repetition: RepetitionOptions
  @OptionGroup(title: "What the text may be, and where it ends")
  var constraints: ConstraintOptions
  @OptionGroup(title: "Searching instead of sampling") var search: SearchOptions

  @Option(
    name: .long, parsing: .unconditional,
    help: ArgumentHelp(
      "Positions to make room for, in tokens, prompt included, or auto: the model's own number, or"
        + " what the memory allows. (default: auto)", valueName: "tokens"))
  var context: ContextLength?

  @Flag(name: .long, help: "Print the prompt before its continuation.")
  var echo = false

  @OptionGroup(title: "Memory") var memory: MemoryOptions
  @OptionGroup(title: "Guessing ahead (the text stays the same)")
  var speculation: SpeculationOptions

  @OptionGroup(title: "Many prompts") var batch: BatchOptions
  @OptionGroup var session: SessionOptions
  @OptionGroup var cache: CacheOptions
  @OptionGroup var threads: ThreadOptions
  @OptionGroup var json: JSONOption

  func validate() throws {
    try require("--max-tokens", maxTokens, in: 0...Int.max)
    try require("--context", context?.positions, in: 1...Int.max)
    try batch.validate(singlePromptOptions: [
      ("--prompt", prompt != nil), ("--prompt-file", promptFile != nil), ("--echo", echo),
      ("--json", json.json), ("--samples", sampling.samples != nil),
      ("--beams", search.beams != nil), ("--contrastive", search.contrastive != nil),
    ])
    if prompt != nil, promptFile != nil {
      throw ValidationError("--prompt and --prompt-file: expected one of them, found both")
    }
    guard let strategy = several?.option else { return }
    for (name, isGiven) in [
      ("--samples", sampling.samples != nil && strategy != "--samples"),
      ("--session", session.output != nil), ("--draft", speculation.draftPath != nil),
      ("--stop", strategy == "--beams" && !constraints.stop.isEmpty),
      (
        "--grammar or --json-schema",
        strategy != "--samples" && (constraints.grammar ?? constraints.jsonSchema) != nil
      ),
    ] where isGiven {
      throw ValidationError("\(strategy) and \(name): expected one of them, found both")
    }
  }

  /// Where several sequences are computed for one prompt.
  private var several: SeveralTextsRun.Strategy? {
    search.beamSearch.map { .beams($0) } ?? search.contrastiveSearch.map { .contrastive($0) }
      ?? sampling.samples.map { .samples($0) }
  }

  /// - Throws: `CommandError`
  private func options() throws -> TextGenerator.Options {
    var options = TextGenerator.Options(
      maximumTokens: maxTokens, seed: sampling.seed ?? .random(in: .min ... .max))
    sampling.apply(to: &options.sampling)
    repetition.apply(to: &options.sampling)
    try constraints.apply(to: &options)
    return options
  }

  func run() throws {
    UnsafeSignalHandlers.reportFaults(in: [model.model])
    let options = try options()
    if let prompts = batch.prompts {
      return try BatchRun(
        model: model.model, prompts: prompts, parallel: batch.parallel ?? 8, output: batch.output,
        context: context?.request, memory: memory, threads: threads.threads,
        cachePrecision: cache.precision,
        seed: sampling.seed, generation: options, decoding: decodingWords
      ).run()
    }
    if let several {
      return try SeveralTextsRun(
        model: model.model, strategy: several, context: context?.request, memory: memory,
        threads: threads.threads, cachePrecision: cache.precision, generation: options,
        printsJSON: json.json, prompt: promptText, echo: echo
      ).run()
    }
    let clock = ContinuousClock()
    let start = clock.now
    // The model first: a wrong path is found before a prompt is typed.
    let loaded = try LoadedModel(opening: model.model)
    let draft = try speculation.openDraft(
      contextLength: context?.positions ?? loaded.model.architecture.contextLength,
      cachePrecision: cache.precision)
    var request = memory.request(
      context: context?.request ?? .automatic, cachePrecision: cache.precision)
    request.promisedBytes = draft?.plan.modelBytes ?? 0
    // Not of a prompt that is still to be typed.
    request.neededPositions = prompt.flatMap {
      loaded.tokenizer.neededPositions(prompt: $0, maximumTokens: options.maximumTokens)
    }
    let plan = try MemoryPlan(for: loaded.model, request)
    let reading = ReadingProgress()
    defer { reading.finish() }
    let session = try InferenceSession(
      model: loaded.model, plan: plan, threads: threads.threads, progress: reading.show)
    let speculation = try speculation.speculation(
      for: session, draft: draft, threads: threads.threads)
    let sessionFile = try self.session.file(for: session)
    let loading = clock.now - start
    // While a prompt is typed, too.
    reading.begin(loaded.model, plan: plan)
    let prompt = try promptText()
    let generator = TextGenerator(
      model: loaded.model, tokenizer: loaded.tokenizer, session: session,
      speculation: speculation)
    generator.sessionFile = sessionFile
    Interruption.catchSignals()
    let streams = !json.json
    if streams { plan.announce(isAskedFor: memory.memory != nil) }
    if streams, echo { try StandardOutput.write(prompt) }
    let result: TextGenerator.Result
    do {
      result = try generator.generate(
        prompt: prompt, options: options, isCancelled: { Interruption.hasHappened },
        emit: { piece in
          reading.finish()
          if streams { try StandardOutput.write(piece) }
        })
    } catch GenerationError.promptTooLong(let tokens, let length)
      where length >= loaded.model.architecture.contextLength
    {
      throw CommandError.promptTooLongForModel(tokens: tokens, context: length)
    }
    var report = RunReport(
      text: (echo ? prompt : "") + result.text, result: result, model: loaded.model,
      session: session)
    report.loadSeconds = loading / .seconds(1)
    if result.generatedTokens > 0 {
      report.firstTokenSeconds = Nullable(
        report.loadSeconds + result.sessionSeconds + result.promptSeconds)
    }
    reading.finish()
    let memory = MemoryReport(session, result)
    if streams {
      if !report.text.hasSuffix("\n") { try StandardOutput.write("\n") }
      StandardError.write("\n" + report.statistics + memory.table)
    } else {
      try JSONOutput.write(Joined(report, memory))
    }
    if let failure = result.sessionFailure { throw failure }
    if result.stopReason == .cancelled { throw InterruptedRun() }
  }

  /// The options beyond those that results of many prompts have always named; nil where all are off.
  private var decodingWords: String? {
    var words: [String] = []
    func add(_ name: String, _ value: String?) {
      if let value { words.append("--\(name) \(value)") }
    }
    func unless<Value: Equatable>(_ value: Value, _ off: Value) -> String? {
      value == off ? nil : "\(value)"
    }
    add("typical-p", unless(sampling.typicalP, 1))
    add("mirostat", sampling.mirostat.map { "\($0)" })
    add("mirostat-rate", sampling.mirostatRate.map { "\($0)" })
    add("repetition-window", unless(repetition.repetitionWindow, 64))
    add("presence-penalty", unless(repetition.presencePenalty, 0))
    add("frequency-penalty", unless(repetition.frequencyPenalty, 0))
    add("no-repeat-ngram", unless(repetition.noRepeatNGram, 0))
    for id in constraints.stopTokens { add("stop-token", "\(id)") }
    for bias in constraints.logitBias { add("logit-bias", "\(bias.bias.id)=\(bias.bias.value)") }
    add("grammar", constraints.grammar?.string)
    add("json-schema", constraints.jsonSchema?.string)
    return words.isEmpty ? nil : words.joined(separator: " ")
  }

  private func promptText() throws -> String {
    if let prompt { return prompt }
    let text = try promptFile.map(TextInput.fileOrStandardInput) ?? TextInput.standardInput()
    return text.droppingFinalNewline()
  }
}

/// A text and how it came about.
private struct RunReport: Encodable {
  var text: String
  /// Of the generated tokens.
  var ids: [Int32]
  var seed: UInt64
  /// Opening and checking the file and making room for the context.
  var loadSeconds = 0.0
  /// That and computing the prompt.
  var firstTokenSeconds = Nullable<Double>(nil)
  var stopReason: TextGenerator.StopReason
  var promptTokens: Int
  /// Of them, those that the session file had.
  var restoredTokens: Int
  var promptTokensPerSecond: Nullable<Double>
  var generatedTokens: Int
  /// Of the tokens after the first, which comes from the prompt.
  var tokensPerSecond: Nullable<Double>
  /// Guessed ahead and checked.
  var draftedTokens: Int
  /// Of them, those that were right.
  var acceptedTokens: Int
  /// Decoded tokens per pass over the weights.
  var tokensPerPass: Nullable<Double>
  var weightBytesPerToken: Int
  var weightBytesPerSecond: Nullable<Double>
  var threads: Int
  /// Of them, those that decode.
  var decodeThreads: Int
  var contextLength: Int
  var cacheBits, cacheKeyBits, cacheValueBits: Int
  /// Null where none was written.
  var sessionFileBytes: Nullable<Int>

  init(
    text: String, result: TextGenerator.Result, model: Model, session: InferenceSession
  ) {
    self.text = text
    // Of no time, or of no tokens, there is no speed.
    func known(_ speed: Double) -> Double? { speed > 0 && speed.isFinite ? speed : nil }
    ids = result.ids
    seed = result.seed
    stopReason = result.stopReason
    promptTokens = result.promptTokens
    restoredTokens = result.restoredTokens
    promptTokensPerSecond = Nullable(known(result.promptTokensPerSecond))
    generatedTokens = result.generatedTokens
    let speed = known(result.decodeTokensPerSecond)
    tokensPerSecond = Nullable(speed)
    draftedTokens = result.speculation?.draftedTokens ?? 0
    acceptedTokens = result.speculation?.acceptedTokens ?? 0
    tokensPerPass = Nullable(result.decodePasses > 0 ? result.tokensPerPass : nil)
    weightBytesPerToken = model.weightBytesPerToken
    weightBytesPerSecond = Nullable(
      speed.map { $0 / result.tokensPerPass * Double(model.weightBytesPerToken) })
    threads = session.threadCount
    decodeThreads = session.decodeThreadCount
    contextLength = session.contextLength
    cacheBits = session.cachePrecision.bits
    cacheKeyBits = session.cachePrecision.keyBits
    cacheValueBits = session.cachePrecision.valueBits
    sessionFileBytes = Nullable(result.sessionFileBytes > 0 ? result.sessionFileBytes : nil)
  }

  var statistics: String {
    func words(_ speed: Nullable<Double>, _ decimals: Int, scale: Double = 1) -> String {
      speed.value.map { Format.fixed($0 * scale, decimals) } ?? "–"
    }
    var lines = [
      ("seed", "\(seed)"),
      (
        "start",
        "\(Format.fixed(loadSeconds * 1000, 1)) ms to load,"
          + " \(words(firstTokenSeconds, 1, scale: 1000)) ms to the first token"
      ),
      (
        "prompt",
        "\(promptTokens) tokens,"
          + (restoredTokens > 0 ? " \(restoredTokens) restored from the session file," : "")
          + " \(words(promptTokensPerSecond, 1)) tokens/s"
      ),
      (
        "decode",
        "\(generatedTokens) tokens, \(words(tokensPerSecond, 1)) tokens/s,"
          + " \(words(weightBytesPerSecond, 2, scale: 1e-9)) GB/s of weights"
          + " on \(decodeThreads) thread\(decodeThreads == 1 ? "" : "s")"
      ),
    ]
    if draftedTokens > 0 {
      lines.append(
        (
          "guessed",
          "\(draftedTokens) token\(draftedTokens == 1 ? "" : "s"), \(acceptedTokens) right;"
            + " \(words(tokensPerPass, 2)) tokens per pass over the weights"
        ))
    }
    lines += [
      ("stopped", stopReason.words(contextLength: contextLength))
    ]
    if let bytes = sessionFileBytes.value {
      lines.append(("session", "\(Format.shortBytes(bytes)) saved for the next run"))
    }
    return Listing.rendered(lines)
  }
}

extension TextGenerator.StopReason {
  func words(contextLength: Int) -> String {
    switch self {
    case .endOfSequence: "the model ended the text"
    case .maximumTokens: "the number of tokens asked for (--max-tokens)"
    case .contextFull: "the context of \(contextLength) tokens is full"
    case .stopString: "a text given with --stop"
    case .stopToken: "a token given with --stop-token"
    case .grammarComplete: "nothing more may follow by the grammar"
    case .cancelled: "interrupted"
    }
  }
}
