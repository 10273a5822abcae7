import ArgumentParser
import Ember

/// The model file to work on.
struct ModelArgument: ParsableArguments {
  @Argument(
    help: "Model file, as `ember quantize` writes it.", completion: .file(), transform: filePath)
  var model: FilePath
}

/// - Throws: `ValidationError` for an empty path, which would mean the working folder.
@Sendable func filePath(_ argument: String) throws -> FilePath {
  if argument.isEmpty { throw ValidationError("expected a path, found an empty text") }
  return FilePath(argument)
}
