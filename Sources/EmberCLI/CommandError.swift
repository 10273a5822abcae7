import Ember
import SystemPackage

/// What can go wrong in the command itself, one case per cause.
enum CommandError: Error, CustomStringConvertible, ExitStatusProviding {
  /// A text file that is not there.
  case textNotFound(FilePath)
  /// A folder where a text was expected.
  case textIsFolder(FilePath)
  /// A text that cannot be read.
  case textUnreadable(name: String, operation: String, Errno)
  /// A text with bytes that are not UTF-8.
  case textNotUTF8(name: String, offset: Int, byte: UInt8)
  /// A text larger than Ember takes into memory.
  case textTooLarge(name: String, limit: Int)
  /// An argument with bytes that are not UTF-8; index 0 is the command itself.
  case argumentNotUTF8(index: Int, offset: Int, byte: UInt8)
  /// A prompt that does not fit into the longest context of the model.
  case promptTooLongForModel(tokens: Int, context: Int)
  /// A model file where a checkpoint was expected.
  case inputIsModel(FilePath)
  /// A device or a pipe where the output should be written.
  case outputNotRegularFile(FilePath, option: String = "-o")
  /// A folder where the output should be written.
  case outputIsFolder(FilePath, option: String = "-o")
  /// An output that would replace a file that the command reads.
  case outputIsInput(FilePath, option: String)
  /// Standard output or a file behind it takes no more.
  case cannotWriteOutput(Errno)
  /// Ctrl-C or another signal, before the work was done.
  case interrupted
  /// `EMBER_KERNELS` names kernels that there are not, or that this machine cannot run.
  case kernelsUnavailable(name: String, available: [String])

  var exitStatus: ExitStatus {
    switch self {
    case .textNotFound, .textIsFolder, .textUnreadable: .inputMissing
    case .textNotUTF8, .textTooLarge: .invalidData
    case .argumentNotUTF8: .usage
    case .promptTooLongForModel: .invalidData
    case .inputIsModel: .unsupported
    case .outputIsFolder, .outputNotRegularFile, .outputIsInput: .cannotCreate
    case .cannotWriteOutput: .inputOutput
    case .interrupted: .interrupted
    case .kernelsUnavailable: .usage
    }
  }

  var description: String {
    switch self {
    case .textNotFound(let path):
      "\(path): no such file"
    case .textIsFolder(let path):
      "\(path): is a folder, expected a text file"
    case .textUnreadable(let name, let operation, let errno):
      "\(name): cannot \(operation): \(errno)"
    case .textNotUTF8(let name, let offset, let byte):
      "\(name): not UTF-8 at byte \(offset): found 0x\(String(byte, radix: 16)); convert the text"
        + " to UTF-8 first"
    case .textTooLarge(let name, let limit):
      "\(name): expected a text of at most \(limit) bytes, found more"
    case .argumentNotUTF8(let index, let offset, let byte):
      "argument \(index): not UTF-8 at byte \(offset): found 0x\(String(byte, radix: 16)); convert"
        + " the text to UTF-8, or rename the file"
    case .promptTooLongForModel(let tokens, let context):
      "the prompt has \(tokens) tokens, the model's context holds \(context): shorten the prompt"
    case .inputIsModel(let path):
      "\(path): is an Ember model file already, expected a checkpoint: convert the checkpoint that"
        + " it was made from"
    case .outputNotRegularFile(let path, let option):
      "\(path): is a device or a pipe, expected the name of a file to write: choose another output"
        + " with \(option)"
    case .outputIsFolder(let path, let option):
      "\(path): is a folder, expected the name of a file to write: choose another output with"
        + " \(option)"
    case .outputIsInput(let path, let option):
      "\(path): is read by this command, the output would replace it: choose another output with"
        + " \(option)"
    case .cannotWriteOutput(let errno):
      "standard output: cannot write: \(errno)"
    case .interrupted:
      "interrupted; nothing was written"
    case .kernelsUnavailable(let name, let available):
      "EMBER_KERNELS: expected one of \(available.joined(separator: ", ")), which this machine can"
        + " run, found \(name)"
    }
  }
}

/// A command that stopped at a signal after saying all there was to say.
struct InterruptedRun: Error, ExitStatusProviding {
  var exitStatus: ExitStatus { .interrupted }
}
