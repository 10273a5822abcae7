import ArgumentParser
import Ember
import Foundation

/// `ember chat`: a conversation, turn by turn.
struct ChatCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "chat",
    abstract: "Talk with a model.",
    discussion: """
      Answers line by line, in the layout of the model's own chat template, until Ctrl-D or /exit; \
      /help lists the commands. Ctrl-C stops an answer. Without a terminal, each line of standard \
      input is a turn.

        ember chat model.q4
        ember chat model.q4 --system "Answer in one sentence." --save talk.json
        ember chat model.q4 --load talk.json
        printf 'Who wrote Emma?\\nWhen?\\n' | ember chat model.q4 --json

      Of each turn only what is new is computed. What is typed is text: nobody can write a control \
      token of the template (docs/chat.md).
      """)

  @OptionGroup var model: ModelArgument

  @Option(
    name: .long,
    help: ArgumentHelp("What the model is told before the first turn.", valueName: "text"))
  var system: String?

  @Option(
    name: .long,
    help: ArgumentHelp(
      "Chat template to use, in Jinja, or plain: User: … Assistant: …, for models without one."
        + " (default: the model's own)", valueName: "file"), completion: .file())
  var template: String?

  @Option(
    name: .long,
    help: ArgumentHelp(
      "Further variables of the template, such as '{\"enable_thinking\": false}'.",
      valueName: "json"))
  var templateVariables: String?

  @Option(
    name: .long,
    help: ArgumentHelp("Conversation to go on with.", valueName: "file"),
    completion: .file(), transform: filePath)
  var load: FilePath?

  @Option(
    name: .long,
    help: ArgumentHelp(
      "File to save the conversation in, after each answer.", valueName: "file"),
    completion: .file(), transform: OutputPath.init(argument:))
  var save: OutputPath?

  @Option(
    name: [.customShort("n"), .long], parsing: .unconditional,
    help: ArgumentHelp("Most tokens of an answer, 1 or more. (default: 1024)", valueName: "count"),
    transform: wholeNumber)
  var maxTokens = 1024

  @OptionGroup(title: "Sampling") var sampling: SamplingOptionGroup
  @OptionGroup(title: "Against repetition") var repetition: RepetitionOptions

  @Option(
    name: .long,
    help: ArgumentHelp(
      "End an answer before this text; may be given several times.", valueName: "text"))
  var stop: [String] = []

  @Option(
    name: .long, parsing: .unconditional,
    help: ArgumentHelp(
      "Positions to make room for, in tokens, or auto: the model's own number, or what the memory"
        + " allows. (default: auto)", valueName: "tokens"))
  var context: ContextLength?

  @Flag(
    name: .long, help: "When the context is full, leave out the oldest turns instead of stopping.")
  var dropOldest = false

  @OptionGroup(title: "Memory") var memory: MemoryOptions
  @OptionGroup var cache: CacheOptions
  @OptionGroup var threads: ThreadOptions

  @Flag(
    name: .long,
    help: "Print a line of JSON for each answer instead of text; docs/json.md lists its keys.")
  var json = false

  func validate() throws {
    try require("--max-tokens", maxTokens, in: 1...Int.max)
    try require("--context", context?.positions, in: 2...Int.max)
    if stop.contains("") {
      throw ValidationError("--stop: expected a text to stop at, found an empty one")
    }
    if sampling.samples != nil {
      throw ValidationError("--samples: a conversation has one answer at a time")
    }
    if template == "" {
      throw ValidationError("--template: expected a file or plain, found an empty text")
    }
  }

  func run() throws {
    UnsafeSignalHandlers.reportFaults(in: [model.model])
    var options = TextGenerator.Options(
      maximumTokens: maxTokens, seed: sampling.seed ?? .random(in: .min ... .max))
    sampling.apply(to: &options.sampling)
    repetition.apply(to: &options.sampling)
    let loaded = try LoadedModel(opening: model.model)
    if loaded.model.architecture.encoder != nil {
      throw GenerationError.needsDecoder(option: "ember chat")
    }
    let layout = try ChatLayout(
      loaded, choice: template, variables: templateVariables, stopStrings: stop)
    var conversation = try load.map { path in try Conversation(contentsOf: path) } ?? Conversation()
    if let system { conversation.system = system }
    if let save {
      if save.namesFolder { throw CommandError.outputIsFolder(save.path, option: "--save") }
      if save.path.namesSameFile(as: model.model) {
        throw CommandError.outputIsInput(save.path, option: "--save")
      }
    }
    let plan = try MemoryPlan(
      for: loaded.model,
      memory.request(context: context?.request ?? .automatic, cachePrecision: cache.precision))
    let reading = ReadingProgress()
    defer { reading.finish() }
    let session = try InferenceSession(
      model: loaded.model, plan: plan, threads: threads.threads, progress: reading.show)
    let isInteractive = UnsafeTerminalMode.isAvailable
    if !json { plan.announce(isAskedFor: memory.memory != nil) }
    // The whole model is read while the first line is typed.
    reading.begin(loaded.model, plan: plan)
    let engine = ChatEngine(loaded, session: session, layout: layout, options: options)
    var input: any ChatInput = PipedInput()
    if isInteractive {
      reading.finish()
      StandardError.write("/help lists the commands; Ctrl-D leaves\n")
      input = LineEditor(prompt: "> ")
    }
    for message in conversation.messages where message.role == "user" {
      input.remember(message.content)
    }
    var chat = ChatLoop(
      engine: engine, conversation: conversation, input: input, saving: save?.path,
      dropsOldest: dropOldest, isJSON: json, isInteractive: isInteractive, reading: reading)
    try chat.run()
  }
}
