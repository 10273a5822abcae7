import Ember
import EmberFormat

/// `ember run --prompts`: many prompts are continued together; a line of JSON for each, in order.
struct BatchRun {
  let model: FilePath
  let prompts: FilePath
  let parallel: Int
  let output: FilePath?
  /// nil for that of the results so far, or what the memory allows.
  let context: MemoryRequest.Context?
  let memory: MemoryOptions
  let threads: Int?
  let cachePrecision: CachePrecision
  /// Without a seed, that of the results so far, or a random one.
  let seed: UInt64?
  let generation: TextGenerator.Options
  /// Of the options, those that a result names together.
  let decoding: String?

  /// - Throws: `InterruptedRun` after Ctrl-C, `CommandError.promptsFailed` where prompts have no text,
  ///   and what stops the whole run.
  func run() throws {
    for input in [model, prompts] {
      if let output, input != "-", input.namesSameFile(as: output) {
        throw CommandError.outputIsInput(output, option: "--output")
      }
    }
    let loaded = try LoadedModel(opening: model)
    let file = try PromptFile(reading: prompts)
    let output =
      try output.map { try BatchOutput(continuing: $0, prompts: file.prompts) } ?? BatchOutput()
    let needed = neededPositions(file.prompts, loaded.tokenizer)
    // A text may end where the context is full, so a run goes on with the context that it began with.
    let context = context ?? output.options.map { .positions($0.context) } ?? .automatic
    var request = memory.request(context: context, cachePrecision: cachePrecision)
    request.neededPositions = needed
    request.sequences = min(parallel, file.prompts.count)
    let plan = try MemoryPlan(for: loaded.model, request)
    let reading = ReadingProgress()
    defer { reading.finish() }
    let session = try ParallelSession(
      model: loaded.model, plan: plan, threads: threads, progress: reading.show)
    var generation = self.generation
    generation.seed = seed ?? output.options?.seed ?? .random(in: .min ... .max)
    let options = try recordOptions(generation, plan.contextLength, loaded.model)
    try output.check(options)
    var failures = output.failures
    plan.announce(isAskedFor: memory.memory != nil)
    Interruption.catchSignals()
    let clock = ContinuousClock()
    let start = clock.now
    reading.begin(loaded.model, plan: plan)
    let progress = Progress(after: .seconds(1))
    defer { progress.finish() }
    let done = try ParallelGenerator(
      model: loaded.model, tokenizer: loaded.tokenizer, session: session
    ).generate(
      prompts: file.prompts.map(\.text), from: output.count, options: generation,
      isCancelled: { Interruption.hasHappened },
      progress: { done in
        if done.steps > 0 { reading.finish() }
        progress.update(
          done: output.count + done.finishedPrompts, total: file.prompts.count,
          note: "\(file.prompts.count) prompts"
        ) { _ in
          let seconds = (clock.now - start) / .seconds(1)
          return "\(Format.significant(Double(done.generatedTokens) / seconds)) tokens/s"
        }
      },
      emit: { result in
        if case .failure = result.text { failures += 1 }
        try output.write(
          BatchRecord(result, of: file.prompts[result.index], options: options).line)
      })
    let seconds = (clock.now - start) / .seconds(1)
    reading.finish()
    progress.finish()
    StandardError.write(
      statistics(
        done, of: file.prompts.count, before: output.count, failures: failures, seconds: seconds,
        seed: generation.seed, session: session))
    if output.count + done.finishedPrompts < file.prompts.count { throw InterruptedRun() }
    if failures > 0 {
      throw CommandError.promptsFailed(count: failures, total: file.prompts.count)
    }
  }

  /// Of the longest; nil where the texts' length is not limited.
  private func neededPositions(_ prompts: [PromptFile.Prompt], _ tokenizer: Tokenizer) -> Int? {
    var most = 1
    for prompt in prompts {
      guard
        let needed = tokenizer.neededPositions(
          prompt: prompt.text, maximumTokens: generation.maximumTokens)
      else { return nil }
      most = max(most, needed)
    }
    return most
  }

  private func recordOptions(
    _ generation: TextGenerator.Options, _ contextLength: Int, _ model: Model
  ) throws -> BatchRecord.Options {
    let sampling = generation.sampling
    return BatchRecord.Options(
      model: String(try model.file.fingerprint().prefix(16)), seed: generation.seed,
      temperature: sampling.temperature,
      topK: sampling.topK, topP: sampling.topP, minP: sampling.minP,
      repetitionPenalty: sampling.repetitionPenalty,
      maxTokens: generation.maximumTokens ?? .max, stop: generation.stopStrings,
      ignoreEnd: !generation.stopsAtEndOfSequence, context: contextLength,
      cacheBits: cachePrecision.rawValue, decoding: decoding)
  }

  private func statistics(
    _ done: ParallelGenerator.Progress, of total: Int, before: Int, failures: Int,
    seconds: Double, seed: UInt64, session: ParallelSession
  ) -> String {
    var prompts = "\(before + done.finishedPrompts) of \(total)"
    if before > 0 { prompts += ", \(before) of them before" }
    if failures > 0 { prompts += ", \(failures) without a text" }
    let speed = seconds > 0 ? Double(done.generatedTokens) / seconds : 0
    let tokens =
      "\(done.generatedTokens) generated, \(done.promptTokens) of prompts,"
      + " in \(Format.fixed(seconds, 1)) s and \(done.steps) passes over the weights:"
    let threads = session.decodeThreadCount
    let streamed =
      session.bytesStreamed == 0
      ? "" : ", \(Format.shortBytes(session.bytesStreamed)) read from the file"
    return Listing.rendered([
      ("seed", "\(seed)"),
      ("prompts", "\(prompts), \(session.sequenceCount) at a time"),
      (
        "tokens",
        tokens + " \(Format.fixed(speed, 1)) tokens/s on \(threads)"
          + " thread\(threads == 1 ? "" : "s")\(streamed)"
      ),
      (
        "memory",
        "\(Format.shortBytes(ProcessMemory.peak)) peak; key/value caches"
          + " \(Format.shortBytes(session.cacheBytes)), scratch"
          + " \(Format.shortBytes(session.scratchBytes))"
      ),
    ])
  }
}
