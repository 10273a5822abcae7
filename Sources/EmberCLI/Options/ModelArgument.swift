import ArgumentParser
import Ember

/// The model file to work on.
struct ModelArgument: ParsableArguments {
  @Argument(help: "Model file, as `ember quantize` writes it.", completion: .file())
  var model: FilePath
}

extension FilePath: @retroactive ExpressibleByArgument {
  public init?(argument: String) {
    if argument.isEmpty { return nil }
    self.init(argument)
  }
}
