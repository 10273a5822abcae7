import ArgumentParser
import Ember

/// The command `ember`: everything is in its subcommands.
struct EmberCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ember",
    abstract: "Runs quantized language models on machines with little memory.",
    discussion: """
      Convert a checkpoint, run it, and see what the precision costs:

        ember quantize model.bin --bits 4
        ember run model.q4 --prompt "Once upon a time"
        ember compare model.f16 model.q8 model.q4 --text story.txt

      Results go to standard output, progress and statistics to standard error. Exit status: \
      \(ExitStatus.allCases.map { "\($0.rawValue) \($0.meaning)" }.joined(separator: "; ")).
      """,
    version: "ember \(EmberVersion.current)",
    subcommands: [
      QuantizeCommand.self, PlanCommand.self, RunCommand.self, ChatCommand.self,
      PerplexityCommand.self, CompareCommand.self, EvaluateCommand.self, BenchCommand.self,
      InspectCommand.self, VerifyCommand.self,
      TokenizeCommand.self, LogitsCommand.self, ExportCommand.self, PackCommand.self,
      UnpackCommand.self,
    ])
}
