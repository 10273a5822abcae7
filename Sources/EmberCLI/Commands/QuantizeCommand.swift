import ArgumentParser
import Ember
import EmberFormat

/// `ember quantize`: a checkpoint becomes a model file.
struct QuantizeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "quantize",
    abstract: "Convert a checkpoint into a model file.",
    discussion: """
      Reads a Hugging Face folder (config.json, safetensors or pytorch_model.bin, a tokenizer), a \
      GGUF file, or a llama2.c checkpoint (model.bin, with tokenizer.bin beside it), a block of rows \
      at a time, and writes one file that the other commands map and compute on. The file appears \
      only when it is complete; the same input and options give the same bytes.

        ember quantize model.bin --bits 4
        ember quantize my-model/ --bits 8 -o my-model.q8
        ember quantize my-model/ --bits 4 --recipe best --calibrate story.txt
        ember quantize my-model/ --target-bits 5 --calibrate story.txt
        ember quantize model.bin --bits 4 --outliers 0.5 --tokenizer tok4096.bin

      A calibration text should be like what the model will read, and not what it is tested on; \
      50,000 words are plenty. Its statistics can be kept with --save-statistics, and given to \
      the next conversion of the same checkpoint with --statistics.

      Ctrl-C leaves no file behind.
      """)

  @Argument(
    help: "Checkpoint: a Hugging Face folder, a GGUF file, or a llama2.c .bin file.",
    completion: .file(),
    transform: filePath)
  var input: FilePath

  @Option(
    name: .shortAndLong,
    help: ArgumentHelp(
      "Model file to write; one of that name is replaced."
        + " (default: beside the input, model.q4, model.q8 or model.f16)", valueName: "file"),
    completion: .file(), transform: OutputPath.init(argument:))
  var output: OutputPath?

  @Option(
    name: .long,
    help: ArgumentHelp(
      "Bits per weight of the layers' matrices: 4, 5, 6 or 8 in blocks, or 16 for fp16."
        + " (default: 4)", valueName: "bits"))
  var bits: Precision?

  @Option(
    name: .long,
    help: ArgumentHelp(
      "Bits per weight of the whole file, such as 4.8, met to 1 %, in place of --bits: every matrix"
        + " gets a type by how much the model's output suffers from rounding it, which is measured"
        + " on the text of --calibrate.", valueName: "bits"))
  var targetBits: Double?

  @Option(
    name: .long, parsing: .unconditional,
    help: ArgumentHelp(
      "Weights kept in fp16 beside their blocks: auto spends them where they pay, a number is a"
        + " share of every row in percent (0 to 10; at least one weight), 0 is none. (default: auto)",
      valueName: "auto|percent"),
    transform: OutlierArgument.init(parsing:))
  var outliers = OutlierArgument(budget: .automatic)

  @Option(
    name: .long,
    help: ArgumentHelp(
      "Bits per weight of the embedding table and the output head."
        + " (default: 6 with --bits 4 or 5, else as --bits)", valueName: "bits"))
  var tableBits: Precision?

  @Flag(
    name: .long, inversion: .prefixedNo,
    help: ArgumentHelp(
      "Level columns of emergent size, as LLM.int8() found them, by powers of two in the gains or rows"
        + " before them; the function stays the same."))
  var folding = true

  @OptionGroup(title: "Calibration") var calibration: CalibrationOptionGroup

  @Option(
    name: .customLong("tensor-type"),
    help: ArgumentHelp(
      "Type of the tensors with that name: q4n, q4, q5, q6, q8 or f16; * stands for any characters,"
        + " and of several options that fit the last counts. 'ember inspect' lists the names.",
      valueName: "pattern=type"),
    transform: TensorTypeRule.init(argument:))
  var tensorTypes: [TensorTypeRule] = []

  @Option(
    name: .long,
    help: ArgumentHelp(
      "Tokenizer: a tokenizer.bin or tokenizer.json. (default: the one beside the checkpoint)",
      valueName: "file"), completion: .file(), transform: filePath)
  var tokenizer: FilePath?

  @OptionGroup(title: "Memory") var memory: QuantizeMemoryOptions
  @OptionGroup var threads: ThreadOptions
  @OptionGroup var json: JSONOption

  func validate() throws {
    if targetBits != nil, bits != nil {
      throw ValidationError("--bits and --target-bits: expected one of them, found both")
    }
    if targetBits != nil, tableBits != nil {
      throw ValidationError("--table-bits and --target-bits: expected one of them, found both")
    }
  }

  func run() throws {
    // FilePath drops the slash that says that a folder is meant.
    if let output, output.namesFolder { throw CommandError.outputIsFolder(output.path) }
    if (try? ModelFile(opening: input)) != nil { throw CommandError.inputIsModel(input) }
    let bits = self.bits ?? .four
    let target =
      output?.path
      ?? Converter.defaultOutput(for: input, bits: bits.rawValue, targetBits: targetBits)
    try calibration.check(output: target)
    var options = QuantizationOptions(
      bits: bits.rawValue, tableBits: tableBits?.rawValue, targetBits: targetBits,
      outliers: outliers.budget, recipe: calibration.recipe,
      calibration: try calibration.source(),
      statisticsOutput: calibration.saveStatistics?.path, tensorTypes: tensorTypes,
      tokenizer: tokenizer, threads: threads.threads)
    options.foldsEmergentColumns = folding
    options.memory = memory.memory?.budget ?? .automatic
    options.isForced = memory.force
    let converter = Converter(checkpoint: input, output: target, options: options)
    Interruption.catchSignals()
    let progress = Progress()
    defer { progress.finish() }
    let summary = try convert(with: converter, progress)
    progress.finish()
    for warning in summary.warnings {
      StandardError.write("ember: warning: \(OneLine.escape(warning))\n")
    }
    let report = QuantizeReport(
      output: target, bits: targetBits == nil ? bits.rawValue : nil, summary: summary,
      peakMemory: ProcessMemory.peak)
    if json.json {
      try JSONOutput.write(report)
    } else {
      try StandardOutput.write(report.text)
    }
  }

  private func convert(
    with converter: Converter, _ progress: Progress
  ) throws -> ConversionSummary {
    do {
      return try converter.run(
        isCancelled: { Interruption.hasHappened },
        progress: { state in
          progress.update(
            done: state.done, total: state.total,
            note: state.isCalibrating ? "calibrating, \(state.tensor)" : state.tensor
          ) { speed in
            state.isCalibrating
              ? "\(Format.fixed(speed, 0)) tokens/s a layer"
              : "\(Format.fixed(speed / 1e6, 1)) M weights/s"
          }
        })
    } catch FormatError.isDirectory(let path) {
      // The checkpoint's readers have errors of their own, so this is the output.
      throw CommandError.outputIsFolder(path)
    } catch FormatError.notRegularFile(let path) {
      throw CommandError.outputNotRegularFile(path)
    } catch CalibrationError.file(.isDirectory(let path))
      where path == calibration.saveStatistics?.path
    {
      throw CommandError.outputIsFolder(path, option: "--save-statistics")
    } catch CalibrationError.file(.notRegularFile(let path))
      where path == calibration.saveStatistics?.path
    {
      throw CommandError.outputNotRegularFile(path, option: "--save-statistics")
    }
  }
}

/// Where to write, as it was typed.
struct OutputPath {
  var path: FilePath
  var namesFolder: Bool

  @Sendable init(argument: String) throws {
    path = try filePath(argument)
    namesFolder = argument.hasSuffix("/")
  }
}

/// The precisions that a matrix can be stored in.
enum Precision: Int, ExpressibleByArgument, CaseIterable {
  case four = 4
  case five = 5
  case six = 6
  case eight = 8
  case sixteen = 16
}

/// `auto` or a percentage.
struct OutlierArgument: CustomStringConvertible {
  var budget: OutlierBudget

  init(budget: OutlierBudget) { self.budget = budget }

  /// - Throws: `ValidationError`, which says what was expected.
  @Sendable init(parsing argument: String) throws {
    if argument == "auto" {
      budget = .automatic
    } else if let share = Double(argument), (0...10).contains(share) {
      budget = .percent(share)
    } else {
      throw ValidationError(
        "expected auto or a number from 0 to 10 (percent, without the sign), found"
          + " \(shown(argument))")
    }
  }

  var description: String { budget.description }
}

/// What a conversion did.
private struct QuantizeReport: Encodable {
  var output: String
  /// Null where types were chosen for a target.
  var bits: Nullable<Int>
  var fileBytes: Int
  var tensors: Int
  var weights: Int
  /// Of the tensors in blocks or halves, everything counted.
  var bitsPerWeight: Double
  var fileBitsPerWeight: Double
  /// Weights of the tensors of each type.
  var types: [String: Int]
  /// Nats per token; null without a target.
  var expectedDivergence: Nullable<Double>
  /// 0 to 1.
  var outlierShare: Double
  var outliers: Int
  var largestRelativeError: Double
  /// Empty where no tensor lost anything.
  var largestRelativeErrorTensor: String
  var seconds: Double
  var peakMemoryBytes: Int
  var warnings: [String]

  init(output: FilePath, bits: Int?, summary: ConversionSummary, peakMemory: Int) {
    self.output = output.string
    self.bits = Nullable(bits)
    fileBytes = summary.fileBytes
    tensors = summary.tensorCount
    weights = summary.weightCount
    bitsPerWeight = summary.bitsPerWeight
    fileBitsPerWeight = summary.fileBitsPerWeight
    types = Dictionary(
      uniqueKeysWithValues: summary.weightsByType.map { ($0.key.name, $0.value) })
    expectedDivergence = Nullable(summary.expectedDivergence)
    outlierShare = summary.outlierShare
    outliers = summary.outlierCount
    largestRelativeError = Double(summary.largestRelativeError?.error ?? 0)
    largestRelativeErrorTensor = summary.largestRelativeError?.tensor ?? ""
    seconds = summary.seconds
    peakMemoryBytes = peakMemory
    warnings = summary.warnings
  }

  var text: String {
    var lines = [
      ("wrote", OneLine.escape(output)),
      ("size", Format.bytes(fileBytes)),
      ("weights", "\(Format.grouped(weights)) in \(tensors) tensors"),
      (
        "bits per weight",
        "\(Format.fixed(bitsPerWeight, 3)) quantized tensors,"
          + " \(Format.fixed(fileBitsPerWeight, 3)) whole file"
      ),
      ("types", typeShares),
      ("outliers", "\(Format.percent(outlierShare, 3)) of the weights in blocks, kept in fp16"),
    ]
    if let divergence = expectedDivergence.value {
      lines.insert(
        ("expected loss", "KL divergence \(Format.fixed(divergence, 5)) nats per token"), at: 5)
    }
    if !largestRelativeErrorTensor.isEmpty {
      lines.append(
        (
          "largest error",
          "\(Format.percent(largestRelativeError, 3)) of \(largestRelativeErrorTensor)"
            + " (root mean square)"
        ))
    }
    lines.append(("time", "\(Format.fixed(seconds, 1)) s"))
    lines.append(("peak memory", Format.bytes(peakMemoryBytes)))
    return Listing.rendered(lines)
  }

  /// Such as `62.1 % q4n, 37.7 % q6, 0.2 % f32`, the smallest type first.
  private var typeShares: String {
    [BlockType.q4n, .q4, .q5, .q6, .q8, .f16, .f32].compactMap { type in
      types[type.name].map {
        "\(Format.percent(Double($0) / Double(max(1, weights)), 1)) \(type.name)"
      }
    }.joined(separator: ", ")
  }
}
