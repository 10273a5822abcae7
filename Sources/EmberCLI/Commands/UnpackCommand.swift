import ArgumentParser
import Ember
import EmberFormat
import EmberKernels

/// `ember unpack`: the model file out of an archive.
struct UnpackCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "unpack",
    abstract: "Unpack a model file that `ember pack` packed.",
    discussion: """
      The archive is read once, from front to back. Every frame's checksum is compared, then the \
      model's: the file appears only when it is whole and good. What goes to standard output is gone \
      before the model's own checksums can be compared; check it with `ember verify`.

        ember unpack model.q4.zst
        curl https://example.com/model.q4.zst | ember unpack - -o model.q4

      Ctrl-C leaves no file behind.
      """)

  @Argument(
    help: "Archive, as `ember pack` writes it; - is standard input.", completion: .file(),
    transform: filePath)
  var file: FilePath

  @Option(
    name: .shortAndLong,
    help: ArgumentHelp(
      "Model file to write; one of that name is replaced, - is standard output."
        + " (default: beside the archive, its name without .zst)", valueName: "file"),
    completion: .file(), transform: OutputPath.init(argument:))
  var output: OutputPath?

  @OptionGroup var threads: ThreadOptions
  @OptionGroup var json: JSONOption

  func validate() throws {
    try PackingOptions.validate(output, json: json.json)
    if output == nil { _ = try defaultOutput() }
  }

  func run() throws {
    let isStandard = file == "-"
    let place = try PackingOptions.place(
      of: output ?? defaultOutput(), input: isStandard ? nil : file)
    Interruption.catchSignals()
    let clock = ContinuousClock()
    let start = clock.now
    let progress = Progress()
    defer { progress.finish() }
    let unpacker = ModelUnpacker(threads: threads.threads ?? ThreadCount.recommended)
    let summary = try PackingOptions.run(output: place) {
      try unpacker.unpack(isStandard ? .standard : .file(file), to: place) { phase, done, total in
        try PackingOptions.stopIfInterrupted()
        progress.update(
          done: done, total: total, note: phase == .unpacking ? "unpacking" : "checksums"
        ) { speed in "\(Format.shortBytes(Int(speed)))/s" }
      }
    }
    progress.finish()
    let report = PackingReport(
      input: file.string, output: place, summary: summary, duration: clock.now - start)
    try report.write(json: json.json, isPacking: false)
  }

  private func defaultOutput() throws -> OutputPath {
    let name = file.string
    guard file != "-", name.hasSuffix(PackingOptions.suffix),
      file.lastComponent?.string != PackingOptions.suffix
    else {
      throw ValidationError(
        "-o: expected the name of the file to write, since the archive's does not end in"
          + " \(PackingOptions.suffix), found none")
    }
    return try OutputPath(argument: String(name.dropLast(PackingOptions.suffix.count)))
  }
}
