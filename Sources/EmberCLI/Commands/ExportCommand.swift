import ArgumentParser
import Ember
import EmberFormat

/// `ember export`: a model file in another program's format.
struct ExportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export",
    abstract: "Write a model file as safetensors or GGUF, for other programs.",
    discussion: """
      safetensors makes a Hugging Face folder that transformers loads: config.json, \
      model.safetensors, tokenizer.json. gguf makes one file that llama.cpp loads. Weights of any \
      precision become fp16, outliers included, or Q8_0 in GGUF; what quantizing lost does not \
      come back. Tokenizer and chat template go along.

        ember export model.f16 --format safetensors -o my-model
        ember export model.q8 --format gguf --type q8_0

      Rows are written one after the other, so that a model larger than memory can be exported. The \
      result appears only when it is complete; Ctrl-C leaves nothing behind.
      """)

  @OptionGroup var model: ModelArgument

  @Option(
    name: .long,
    help: ArgumentHelp("safetensors, for transformers, or gguf, for llama.cpp.", valueName: "name"))
  var format: ExportFormat

  @Option(
    name: .long,
    help: ArgumentHelp("Type of the matrices: f16, or q8_0 in GGUF.", valueName: "type"))
  var type: ExportType = .f16

  @Option(
    name: .shortAndLong,
    help: ArgumentHelp(
      "File or folder to write; a file of that name is replaced, a folder with files in it only with"
        + " --force. (default: beside the model, model.gguf or model-safetensors)",
      valueName: "path"), completion: .file(), transform: OutputPath.init(argument:))
  var output: OutputPath?

  @Option(
    name: .long,
    help: ArgumentHelp(
      "Memory that the process may take, such as 900M or 1.5G (powers of ten) or 1GiB, or auto: what"
        + " the machine or the container has available. (default: auto)", valueName: "size"))
  var memory: MemorySize?

  @Flag(
    name: .long,
    help: "Replace the model in a folder that has one; begin even where memory is too small.")
  var force = false

  @OptionGroup var json: JSONOption

  func run() throws {
    let input = model.model
    if format == .gguf, let output, output.namesFolder {
      throw CommandError.outputIsFolder(output.path)
    }
    let place = output?.path ?? Exporter.defaultOutput(for: input, format: format)
    var options = ExportOptions(format: format, type: type)
    options.memory = memory?.budget ?? .automatic
    options.isForced = force
    Interruption.catchSignals()
    let progress = Progress()
    defer { progress.finish() }
    let exporter = Exporter(model: input, output: place, options: options)
    let summary = try exporter.run(
      isCancelled: { Interruption.hasHappened },
      progress: { state in
        progress.update(done: state.done, total: state.total, note: state.tensor) { speed in
          "\(Format.fixed(speed / 1e6, 1)) M weights/s"
        }
      })
    progress.finish()
    for warning in summary.warnings {
      StandardError.write("ember: warning: \(OneLine.escape(warning))\n")
    }
    let report = ExportReport(
      output: place, options: options, summary: summary, peakMemory: ProcessMemory.peak)
    if json.json {
      try JSONOutput.write(report)
    } else {
      try StandardOutput.write(report.text)
    }
  }
}

extension ExportFormat: ExpressibleByArgument {}
extension ExportType: ExpressibleByArgument {}

/// What an export did.
private struct ExportReport: Encodable {
  var output: String
  var format: String
  var type: String
  var architecture: String
  var files: [String]
  /// Of all files.
  var bytes: Int
  var tensors: Int
  var weights: Int
  /// Whether they were in blocks before.
  var quantized: Bool
  var seconds: Double
  var peakMemoryBytes: Int
  var warnings: [String]

  init(output: FilePath, options: ExportOptions, summary: ExportSummary, peakMemory: Int) {
    self.output = output.string
    format = options.format.rawValue
    type = options.type.rawValue
    architecture = summary.architecture
    files = summary.files
    bytes = summary.byteCount
    tensors = summary.tensorCount
    weights = summary.weightCount
    quantized = summary.isQuantized
    seconds = summary.seconds
    peakMemoryBytes = peakMemory
    warnings = summary.warnings
  }

  var text: String {
    var lines = [("wrote", OneLine.escape(output))]
    if format == ExportFormat.safetensors.rawValue {
      lines.append(("files", files.joined(separator: ", ")))
    }
    let program = format == ExportFormat.gguf.rawValue ? "llama.cpp" : "transformers"
    lines += [
      ("architecture", "\(architecture), as \(program) names it"),
      ("size", Format.bytes(bytes)),
      ("weights", "\(Format.grouped(weights)) in \(tensors) tensors, matrices in \(type)"),
    ]
    if quantized {
      lines.append(("note", "the weights were quantized; what that lost does not come back"))
    }
    lines += [
      ("time", "\(Format.fixed(seconds, 1)) s"), ("peak memory", Format.bytes(peakMemoryBytes)),
    ]
    return Listing.rendered(lines)
  }
}
