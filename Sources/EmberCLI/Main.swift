import ArgumentParser
import Ember
import EmberFormat
import EmberKernels

/// Parses the command line, runs the command, and turns whatever fails into one line and a number.
@main
enum Main {
  static func main() {
    StandardDescriptors.fillClosed()
    BrokenPipe.ignoreSignal()
    FileSizeLimit.ignoreSignal()
    do {
      try CommandLineText.validate()
    } catch {
      finish(with: error, whileParsing: false)
    }
    do {
      var command = try EmberCommand.parseAsRoot()
      try run(&command)
    } catch {
      finish(with: error, whileParsing: true)
    }
  }

  private static func run(_ command: inout any ParsableCommand) throws {
    do {
      try checkKernels(for: command)
      try command.run()
    } catch {
      // The parser's own requests, such as `ember help run`, arrive here too.
      finish(with: error, whileParsing: false)
    }
  }

  /// Before anything is computed with other kernels than were asked for. Help needs none.
  private static func checkKernels(for command: any ParsableCommand) throws {
    guard let name = Kernels.requestedName, Kernels.named(name) == nil,
      EmberCommand.configuration.subcommands.contains(where: { $0 == type(of: command) })
    else { return }
    throw CommandError.kernelsUnavailable(
      name: name, available: Kernels.available.map(\.name))
  }

  /// Never returns.
  private static func finish(with error: any Error, whileParsing: Bool) -> Never {
    // Whoever read the output has seen enough: nothing went wrong.
    if error is BrokenPipe { ExitStatus.success.exit() }
    if error is InterruptedRun { Interruption.exitStatus.exit() }
    // Help, the version and completion scripts come as errors without being failures.
    if EmberCommand.exitCode(for: error).isSuccess {
      let text = EmberCommand.fullMessage(for: error)
      do {
        try StandardOutput.write(text.hasSuffix("\n") ? text : text + "\n")
      } catch {
        finish(with: error, whileParsing: false)
      }
      ExitStatus.success.exit()
    }
    guard whileParsing else {
      StandardError.write("ember: error: \(OneLine.escape(describe(error)))\n")
      let status = ExitStatus(for: error)
      (status == .interrupted ? Interruption.exitStatus : status).exit()
    }
    var message = OneLine.escape(EmberCommand.message(for: error))
    // The parser takes `--stop=` as an option without a value, which it is not.
    let empty = CommandLine.arguments.first { $0.hasPrefix("--") && $0.hasSuffix("=") }
    if message.hasPrefix("Missing value"), let empty {
      message = OneLine.escape("\(empty): expected a value, found an empty text")
    }
    StandardError.write("ember: error: \(message) (see \(helpCommand()))\n")
    ExitStatus.usage.exit()
  }

  private static func describe(_ error: any Error) -> String {
    // Ember's errors describe themselves in one line; those of a library are a defect when they
    // get this far, and then their type helps.
    ExitStatus(for: error) == .internalError
      ? "internal error: \(type(of: error)): \(error)" : String(describing: error)
  }

  /// The help that fits the command line.
  private static func helpCommand() -> String {
    let names = EmberCommand.configuration.subcommands.compactMap { $0.configuration.commandName }
    guard let name = CommandLine.arguments.dropFirst().first, names.contains(name) else {
      return "ember --help"
    }
    return "ember \(name) --help"
  }
}
