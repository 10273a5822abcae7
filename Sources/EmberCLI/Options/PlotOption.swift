import ArgumentParser
import Ember
import EmberFormat

/// Where a picture of the result goes.
struct PlotOption: ParsableArguments {
  @Option(
    name: .customLong("plot"),
    help: ArgumentHelp("Also draw the result, as an SVG picture in this file.", valueName: "file"),
    completion: .file(extensions: ["svg"]), transform: filePath)
  var path: FilePath?

  func validate() throws {
    guard let path, path.extension?.lowercased() != "svg" else { return }
    throw ValidationError(
      "--plot: expected a name that ends in .svg, as the picture is SVG, found \(path)")
  }

  /// Refuses a place that cannot be written before anything is computed.
  ///
  /// - Parameter inputs: files that the command reads, which the picture must not replace.
  func check(inputs: [FilePath]) throws {
    guard let path else { return }
    if inputs.contains(where: { $0.namesSameFile(as: path) }) {
      throw CommandError.outputIsInput(path, option: "--plot")
    }
    try namingOption(path) { () throws(FormatError) in try FileReplacement.check(path) }
  }

  /// Writes the picture, whole or not at all; nothing where none was asked for.
  func write(_ picture: @autoclosure () -> String) throws {
    guard let path else { return }
    let bytes = Array(picture().utf8)
    try namingOption(path) { () throws(FormatError) in
      try FileReplacement.write(bytes, to: path)
    }
  }

  private func namingOption(_ path: FilePath, _ body: () throws(FormatError) -> Void) throws {
    do throws(FormatError) {
      try body()
    } catch .isDirectory {
      throw CommandError.outputIsFolder(path, option: "--plot")
    } catch .notRegularFile {
      throw CommandError.outputNotRegularFile(path, option: "--plot")
    }
  }
}
