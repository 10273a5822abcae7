import ArgumentParser
import Ember

/// Where the key/value cache of a text is kept.
struct SessionOptions: ParsableArguments {
  @Option(
    name: .customLong("session"),
    help: ArgumentHelp(
      "File to keep the text's computed positions in, prompt and continuation. A later run with it"
        + " computes only what its prompt does not have in common with that text.",
      valueName: "file"), completion: .file(), transform: OutputPath.init(argument:))
  var output: OutputPath?

  /// Found out before a prompt is typed: a file that could not be written, or is another model's.
  ///
  /// - Throws: `SessionFileError`, `CommandError`
  func file(for session: InferenceSession) throws -> SessionFile? {
    guard let output else { return nil }
    if output.namesFolder {
      throw CommandError.outputIsFolder(output.path, option: "--session")
    }
    if output.path.namesSameFile(as: session.model.file.path) {
      throw CommandError.outputIsInput(output.path, option: "--session")
    }
    let file = SessionFile(output.path)
    do throws(SessionFileError) {
      try file.check(for: session)
    } catch .file(.isDirectory(let path)) {
      throw CommandError.outputIsFolder(path, option: "--session")
    } catch .file(.notRegularFile(let path)) {
      throw CommandError.outputNotRegularFile(path, option: "--session")
    }
    return file
  }
}
