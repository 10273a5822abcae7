import ArgumentParser
import Ember

/// How much a conversion spends on each weight, and what it may learn of the model's inputs.
struct CalibrationOptionGroup: ParsableArguments {
  @Option(
    name: .long,
    help: ArgumentHelp(
      "fast takes each block on its own; balanced weighs errors by the size of the inputs, measured"
        + " on random tokens unless there is a text; best makes up for each error in later weights"
        + " (GPTQ), which needs a text and takes longest.", valueName: "recipe"))
  var recipe: Recipe = .balanced

  @Option(
    name: .long,
    help: ArgumentHelp(
      "Text to run the model over, to learn what matters.", valueName: "text file"),
    completion: .file(), transform: filePath)
  var calibrate: FilePath?

  @Option(
    name: .long,
    help: ArgumentHelp(
      "Statistics that an earlier --save-statistics kept, in place of a text; may be repeated.",
      valueName: "file"), completion: .file(), transform: filePath)
  var statistics: [FilePath] = []

  @Option(
    name: .long,
    help: ArgumentHelp("Keep the statistics of the calibration.", valueName: "file"),
    completion: .file(), transform: OutputPath.init(argument:))
  var saveStatistics: OutputPath?

  func validate() throws {
    if calibrate != nil, !statistics.isEmpty {
      throw ValidationError("--calibrate and --statistics: expected one of them, found both")
    }
  }

  /// Refuses places that cannot be meant before anything is computed.
  ///
  /// - Throws: `CommandError`
  func check(output: FilePath) throws {
    if let saveStatistics, saveStatistics.namesFolder {
      throw CommandError.outputIsFolder(saveStatistics.path, option: "--save-statistics")
    }
    for input in statistics + [calibrate].compactMap({ $0 }) where input.namesSameFile(as: output) {
      throw CommandError.outputIsInput(output, option: "-o")
    }
    // Statistics may be added to the file that they were read from; a text is no such file.
    if let calibrate, let path = saveStatistics?.path, calibrate.namesSameFile(as: path) {
      throw CommandError.outputIsInput(path, option: "--save-statistics")
    }
  }

  /// - Throws: `CommandError` where the text cannot be read.
  func source() throws -> CalibrationSource {
    if let calibrate {
      return .text(try TextInput.file(calibrate))
    }
    return statistics.isEmpty ? .automatic : .statistics(statistics)
  }
}

extension Recipe: ExpressibleByArgument {}

extension TensorTypeRule {
  /// - Throws: `ValidationError`
  init(argument: String) throws {
    let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2, !parts[0].isEmpty,
      let type = BlockType(name: String(parts[1])), type != .f32
    else {
      throw ValidationError(
        "expected a pattern, = and q4n, q4, q5, q6, q8 or f16, found \(shown(argument))")
    }
    self.init(pattern: String(parts[0]), type: type)
  }
}
