import Ember

/// `ember run` with several sequences for one prompt: samples, beams, or candidates of contrastive
/// search.
struct SeveralTextsRun {
  enum Strategy {
    case samples(Int)
    case beams(BeamSearchOptions)
    case contrastive(ContrastiveOptions)

    /// How it is asked for.
    var option: String {
      switch self {
      case .samples: "--samples"
      case .beams: "--beams"
      case .contrastive: "--contrastive"
      }
    }

    var sequences: Int {
      switch self {
      case .samples(let count): count
      case .beams(let options): options.beams
      case .contrastive(let options): options.candidates
      }
    }
  }

  let model: FilePath
  let strategy: Strategy
  let context: MemoryRequest.Context?
  let memory: MemoryOptions
  let threads: Int?
  let cachePrecision: CachePrecision
  let generation: TextGenerator.Options
  let printsJSON: Bool
  let prompt: () throws -> String
  let echo: Bool

  func run() throws {
    let loaded = try LoadedModel(opening: model)
    var request = memory.request(
      context: context ?? .automatic, cachePrecision: cachePrecision)
    request.sequences = strategy.sequences
    let prompt = try self.prompt()
    request.neededPositions = loaded.tokenizer.neededPositions(
      prompt: prompt, maximumTokens: generation.maximumTokens)
    let plan = try MemoryPlan(for: loaded.model, request)
    let reading = ReadingProgress()
    let session = try ParallelSession(
      model: loaded.model, plan: plan, threads: threads, progress: reading.show)
    reading.finish()
    Interruption.catchSignals()
    if !printsJSON { plan.announce(isAskedFor: memory.memory != nil) }
    let clock = ContinuousClock()
    let start = clock.now
    var report = SeveralTextsReport(
      strategy: String(strategy.option.dropFirst(2)), seed: generation.seed)
    do {
      try generate(prompt, loaded, session, &report)
    } catch GenerationError.promptTooLong(let tokens, let length)
      where length >= loaded.model.architecture.contextLength
    {
      throw CommandError.promptTooLongForModel(tokens: tokens, context: length)
    }
    report.finish(seconds: (clock.now - start) / .seconds(1), session: session)
    if printsJSON {
      try JSONOutput.write(report)
    } else {
      try StandardOutput.write(report.blocks(prompt: echo ? prompt : ""))
      StandardError.write("\n" + report.statistics(session))
    }
    if Interruption.hasHappened { throw InterruptedRun() }
  }

  private func generate(
    _ prompt: String, _ loaded: LoadedModel, _ session: ParallelSession,
    _ report: inout SeveralTextsReport
  ) throws {
    let (model, tokenizer) = (loaded.model, loaded.tokenizer)
    let isCancelled = { Interruption.hasHappened }
    switch strategy {
    case .samples(let count):
      let results = try ParallelGenerator(model: model, tokenizer: tokenizer, session: session)
        .samples(prompt: prompt, count: count, options: generation, isCancelled: isCancelled)
      for result in results {
        let text = try result.text.get()
        report.promptTokens = text.promptTokens
        report.texts.append(
          .init(ids: text.ids, text: text.text, stopReason: text.stopReason, seed: result.seed))
      }
    case .beams(let options):
      let texts = try BeamGenerator(model: model, tokenizer: tokenizer, session: session).generate(
        prompt: prompt, search: options, options: generation, isCancelled: isCancelled)
      for text in texts {
        report.promptTokens = text.promptTokens
        report.texts.append(
          .init(
            ids: text.ids, text: text.text, stopReason: text.stopReason, score: text.score))
      }
    case .contrastive(let options):
      let text = try ContrastiveGenerator(model: model, tokenizer: tokenizer, session: session)
        .generate(
          prompt: prompt, search: options, options: generation, isCancelled: isCancelled,
          emit: { _ in })
      report.promptTokens = text.promptTokens
      report.texts.append(.init(ids: text.ids, text: text.text, stopReason: text.stopReason))
    }
  }
}
