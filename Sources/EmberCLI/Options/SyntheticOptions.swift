import ArgumentParser
import Ember

/// A model of random weights to measure.
struct SyntheticOptions: ParsableArguments {
  @Option(
    name: .customLong("synthetic"),
    help: ArgumentHelp(
      "Measure a model of random weights: tiny, 1.1B, 7B, or its sizes.", valueName: "shape"))
  var shape: String?

  @Option(
    name: .long,
    help: ArgumentHelp(
      "Bits per weight of its layers' matrices: 4, 8 or 16. (default: 4)", valueName: "bits"))
  var bits: SyntheticPrecision?

  @Option(
    name: .long,
    help: ArgumentHelp(
      "Bits per weight of its embedding table and output head."
        + " (default: 8 with --bits 4, else as --bits)", valueName: "bits"))
  var tableBits: SyntheticPrecision?

  @Option(
    name: .long,
    help: ArgumentHelp(
      "Share of its weights kept in fp16 beside their blocks, 0 to 10, in steps of one per row: 0.5"
        + " is 10 of 2048. (default: 0)",
      valueName: "percent"))
  var outliers: Double?

  @Option(
    name: .long,
    help: ArgumentHelp(
      "Write it here and keep it. (default: a temporary file)", valueName: "file"),
    completion: .file(), transform: filePath)
  var keep: FilePath?

  func validate() throws {
    if let outliers, !(0...10).contains(outliers) {
      throw ValidationError("--outliers: expected a percentage from 0 to 10, found \(outliers)")
    }
    for (name, isGiven) in [
      ("--bits", bits != nil), ("--table-bits", tableBits != nil),
      ("--outliers", outliers != nil), ("--keep", keep != nil),
    ] where isGiven && shape == nil {
      throw ValidationError("\(name): expected --synthetic beside it, found none")
    }
    _ = try shape.map(parse)
  }

  /// - Throws: `ValidationError`
  func model() throws -> SyntheticModel {
    SyntheticModel(
      shape: try parse(shape ?? ""), bits: bits?.rawValue ?? 4, tableBits: tableBits?.rawValue,
      outlierPercent: outliers ?? 0)
  }

  /// Such as `random-1.1b.q4`; only what is in every shape's text.
  var fileName: String {
    let bits = bits?.rawValue ?? 4
    return "random-\((shape ?? "").lowercased()).\(bits == 16 ? "f16" : "q\(bits)")"
  }

  private func parse(_ shape: String) throws -> SyntheticShape {
    do throws(EvaluationError) {
      return try SyntheticShape(parsing: shape)
    } catch {
      throw ValidationError(error.description)
    }
  }
}

/// The precisions that a model of random weights can be made in.
enum SyntheticPrecision: Int, ExpressibleByArgument, CaseIterable {
  case four = 4
  case eight = 8
  case sixteen = 16
}
