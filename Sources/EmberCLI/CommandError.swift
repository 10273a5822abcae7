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
  /// A file with many prompts that has none.
  case noPrompts(name: String)
  /// A line of JSON lines that is no prompt.
  case invalidPromptLine(name: String, line: Int)
  /// A line that is no pair of a source and a target.
  case invalidPairLine(name: String, line: Int)
  /// An output to continue that has other results than those of this run.
  case foreignResults(FilePath, line: Int, expected: String, found: String)
  /// Prompts for which there is an error instead of a text; the others are done.
  case promptsFailed(count: Int, total: Int)
  /// A grammar or a JSON schema that cannot be followed.
  case grammarRefused(FilePath, GenerationError)
  /// A file of questions with a line that is none.
  case invalidQuestion(name: String, line: Int, problem: String)
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
    case .noPrompts, .invalidPromptLine, .invalidPairLine, .foreignResults, .promptsFailed:
      .invalidData
    case .grammarRefused(_, let error): ExitStatus(for: error)
    case .invalidQuestion: .invalidData
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
    case .noPrompts(let name):
      "\(name): expected a prompt on each line, found no line"
    case .invalidPromptLine(let name, let line):
      "\(name): line \(line): expected JSON such as {\"prompt\": \"text\", \"id\": 1}, with an id that"
        + " is a text or a whole number or missing (plain prompts are read from a file that is not"
        + " called .jsonl and does not begin with a brace)"
    case .invalidPairLine(let name, let line):
      "\(name): line \(line): expected JSON such as {\"source\": \"text\", \"target\": \"text\"}, or a"
        + " source and a target with one tab between them (JSON is read from a file that is called"
        + " .jsonl or begins with a brace)"
    case .foreignResults(let path, let line, let expected, let found):
      "\(path): line \(line): expected \(expected), found \(found): continue with what the file was"
        + " begun with, or choose another output with --output"
    case .promptsFailed(let count, let total):
      "\(count) of \(total) prompts have no text: see the key error in their results"
    case .grammarRefused(let path, let error):
      "\(path): \(error)"
    case .invalidQuestion(let name, let line, let problem):
      "\(name): line \(line): expected JSON such as {\"ctx\": \"text\", \"endings\": [\"one\", \"two\"],"
        + " \"label\": 0}: \(problem)"
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
