import ArgumentParser
import Ember
import EmberFormat
import EmberKernels

/// `ember pack`: a model file as an archive, for shipping.
struct PackCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pack",
    abstract: "Pack a model file into a seekable zstd archive, for shipping.",
    discussion: """
      The archive has a checksum for every 2 MiB, so that damage on the way shows; weights \
      themselves hardly compress: 4-bit ones by 1 %, 8-bit by 4 %, fp16 by 8 %. The model is checked \
      while it is read, as `ember verify` does. `ember unpack` unpacks it; so do zstd -d and other \
      programs that read zstd.

        ember pack model.q4
        ember pack model.q4 -o - | ssh host 'ember unpack - -o model.q4'

      Ctrl-C leaves no file behind.
      """)

  @OptionGroup var model: ModelArgument

  @Option(
    name: .shortAndLong,
    help: ArgumentHelp(
      "Archive to write; one of that name is replaced, - is standard output."
        + " (default: beside the model, model.q4.zst)", valueName: "file"),
    completion: .file(), transform: OutputPath.init(argument:))
  var output: OutputPath?

  @Option(
    name: .long, parsing: .unconditional,
    help: ArgumentHelp(
      "zstd's level, 1 to 19. Higher ones take longer and hardly gain. (default: 1)",
      valueName: "number"), transform: wholeNumber)
  var level = ModelPacker.defaultLevel

  @OptionGroup var threads: ThreadOptions
  @OptionGroup var json: JSONOption

  func validate() throws {
    try require("--level", level, in: ModelPacker.levels)
    try PackingOptions.validate(output, json: json.json)
  }

  func run() throws {
    let input = model.model
    let place = try PackingOptions.place(
      of: output ?? OutputPath(argument: input.string + PackingOptions.suffix), input: input)
    UnsafeSignalHandlers.reportFaults(in: [input])
    Interruption.catchSignals()
    let clock = ContinuousClock()
    let start = clock.now
    let progress = Progress()
    defer { progress.finish() }
    let packer = ModelPacker(level: level, threads: threads.threads ?? ThreadCount.recommended)
    let summary = try PackingOptions.run(output: place) {
      try packer.pack(input, to: place) { done, total in
        try PackingOptions.stopIfInterrupted()
        progress.update(done: done, total: total, note: "packing") { speed in
          "\(Format.shortBytes(Int(speed)))/s"
        }
      }
    }
    progress.finish()
    let report = PackingReport(
      input: input.string, output: place, summary: summary, duration: clock.now - start)
    try report.write(json: json.json, isPacking: true)
  }
}
