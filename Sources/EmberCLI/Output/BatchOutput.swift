import Ember
import EmberFormat
import Foundation

/// Where the results of many prompts go: standard output, or a file that can be continued.
struct BatchOutput {
  private let file: LineFile?
  /// Results that were there.
  private(set) var count = 0
  /// Of them, those with an error instead of a text.
  private(set) var failures = 0
  /// What the results that were there were made with.
  private(set) var options: BatchRecord.Options?

  /// Standard output.
  init() { file = nil }

  /// Reads what is in the file already, which changes nothing in it, and checks that it belongs to
  /// these prompts.
  ///
  /// - Throws: `CommandError`, `FormatError`
  init(continuing path: FilePath, prompts: [PromptFile.Prompt]) throws {
    let file: LineFile
    do throws(FormatError) {
      file = try LineFile(continuing: path)
    } catch .isDirectory {
      throw CommandError.outputIsFolder(path, option: "--output")
    } catch .notRegularFile {
      throw CommandError.outputNotRegularFile(path, option: "--output")
    }
    self.file = file
    let decoder = JSONDecoder()
    var found = (count: 0, failures: 0, options: BatchRecord.Options?.none)
    try file.readLines { index, line in
      func refuse(_ expected: String, _ found: String) -> CommandError {
        .foreignResults(path, line: index + 1, expected: expected, found: found)
      }
      guard let record = try? decoder.decode(BatchRecord.self, from: Data(line)) else {
        throw refuse("a result of ember run --prompts", "something else")
      }
      if index >= prompts.count {
        throw refuse("results of \(prompts.count) prompts", "one more")
      }
      if record.index != index { throw refuse("index \(index)", "\(record.index)") }
      if record.promptSHA256 != SHA256.hexadecimal(of: prompts[index].text)
        || record.id != prompts[index].id
      {
        throw refuse("prompt \(index) of --prompts", "the result of another prompt")
      }
      let options = found.options ?? record.options
      if let difference = options.difference(from: record.options) {
        throw refuse("\(difference.name) \(difference.expected)", difference.found)
      }
      let seed = ParallelGenerator.seed(options.seed, ofPrompt: index)
      if record.seed != seed { throw refuse("seed \(seed)", "\(record.seed)") }
      found.options = options
      found.count += 1
      if record.error != nil { found.failures += 1 }
    }
    (count, failures, options) = found
  }

  /// Refuses to continue results that were made with other options.
  ///
  /// - Throws: `CommandError.foreignResults`
  func check(_ expected: BatchRecord.Options) throws {
    guard let file, let options, let difference = expected.difference(from: options) else { return }
    throw CommandError.foreignResults(
      file.path, line: 1, expected: "\(difference.name) \(difference.expected)",
      found: difference.found)
  }

  /// Writes lines so that they stay.
  func write(_ lines: String) throws {
    if let file { try file.append(lines) } else { try StandardOutput.write(lines) }
  }
}
