import ArgumentParser
import Ember
import EmberFormat
import Foundation

/// What packing and unpacking have in common.
enum PackingOptions {
  static let suffix = ".zst"

  /// `-` is standard output, which no terminal should be, and no place for a report in JSON.
  ///
  /// - Throws: `ValidationError`
  static func validate(_ output: OutputPath?, json: Bool) throws {
    guard let output, output.path == "-" else { return }
    if json {
      throw ValidationError("--json and -o -: expected one of them, found both")
    }
    if isatty(1) != 0 {
      throw ValidationError("-o -: expected a pipe or a file as standard output, found a terminal")
    }
  }

  /// - Throws: `CommandError`
  static func place(of output: OutputPath, input: FilePath?) throws -> StreamPlace {
    if output.path == "-" { return .standard }
    if output.namesFolder { throw CommandError.outputIsFolder(output.path) }
    if let input, output.path.namesSameFile(as: input) {
      throw CommandError.outputIsInput(output.path, option: "-o")
    }
    return .file(output.path)
  }

  /// The errors of writing, with the option that chooses another output; and the end of a pipe.
  static func run<Result>(output: StreamPlace, _ body: () throws -> Result) throws -> Result {
    do {
      return try body()
    } catch FormatError.isDirectory(let path) where output == .file(path) {
      throw CommandError.outputIsFolder(path)
    } catch FormatError.notRegularFile(let path) where output == .file(path) {
      throw CommandError.outputNotRegularFile(path)
    } catch FormatError.cannotWrite("standard output", _, .brokenPipe) {
      throw BrokenPipe()
    } catch FormatError.cannotWrite("standard output", _, let errno) {
      throw CommandError.cannotWriteOutput(errno)
    } catch FormatError.diskFull("standard output", let errno) {
      throw CommandError.cannotWriteOutput(errno)
    }
  }

  /// Ends the work when a signal came.
  static func stopIfInterrupted() throws {
    if Interruption.hasHappened { throw CommandError.interrupted }
  }
}

/// What packing or unpacking did, in either direction.
struct PackingReport: Encodable {
  var input: String
  var output: String
  var modelBytes: Int
  var packedBytes: Int
  /// Of the model's bytes, 0 to 1.
  var packedShare: Double
  var frames: Int
  var seconds: Double
  var peakMemoryBytes: Int

  init(input: String, output: StreamPlace, summary: PackingSummary, duration: Duration) {
    self.input = input
    self.output =
      switch output {
      case .file(let path): path.string
      case .standard: "-"
      }
    modelBytes = summary.modelBytes
    packedBytes = summary.packedBytes
    packedShare = Double(summary.packedBytes) / Double(max(1, summary.modelBytes))
    frames = summary.frames
    seconds = duration / .seconds(1)
    peakMemoryBytes = ProcessMemory.peak
  }

  /// - Parameter isPacking: which of the sizes is that of the output.
  func text(isPacking: Bool) -> String {
    Listing.rendered([
      ("wrote", output == "-" ? "standard output" : OneLine.escape(output)),
      ("model", Format.bytes(modelBytes)),
      (
        "packed",
        "\(Format.bytes(packedBytes)), \(Format.percent(packedShare, 1)) of the model"
      ),
      ("checked", isPacking || output != "-" ? "frames, tensors" : "frames"),
      ("time", "\(Format.fixed(seconds, 1)) s"),
      ("peak memory", Format.bytes(peakMemoryBytes)),
    ])
  }

  /// Results go to standard output, unless that is what was written.
  func write(json: Bool, isPacking: Bool) throws {
    if json {
      try JSONOutput.write(self)
    } else if output == "-" {
      StandardError.write(text(isPacking: isPacking))
    } else {
      try StandardOutput.write(text(isPacking: isPacking))
    }
  }
}
