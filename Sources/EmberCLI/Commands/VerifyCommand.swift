import ArgumentParser
import Ember
import EmberFormat

/// `ember verify`: is the file whole?
struct VerifyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Check a model file: structure, checksums, tensors, tokenizer.",
    discussion: """
      Reads the whole file once and compares the checksum of every tensor. An error names the \
      first tensor or section that is damaged; the exit status is then \
      \(ExitStatus.invalidData.rawValue).

        ember verify model.q4
      """)

  @Argument(help: "Model file to check.", completion: .file(), transform: filePath)
  var file: FilePath

  @OptionGroup var json: JSONOption

  func run() throws {
    UnsafeSignalHandlers.exitOnSignals()
    UnsafeSignalHandlers.reportFaults(in: [file])
    let clock = ContinuousClock()
    let start = clock.now
    let modelFile = try ModelFile(opening: file)
    let progress = Progress()
    defer { progress.finish() }
    try modelFile.verify { done, total in
      progress.update(done: done, total: total, note: "checksums") { speed in
        "\(Format.shortBytes(Int(speed)))/s"
      }
    }
    progress.finish()
    // Checksums show that the bytes are the writer's; this, that they make a model.
    _ = try LoadedModel(file: modelFile)
    let report = VerifyReport(
      file: file.string, status: "good", fileBytes: modelFile.fileBytes,
      formatVersion: modelFile.version, tensors: modelFile.tensors.count,
      weightBytes: modelFile.tensors.reduce(0) { $0 + $1.byteCount },
      seconds: (clock.now - start) / .seconds(1))
    if json.json {
      try JSONOutput.write(report)
    } else {
      try StandardOutput.write(report.text)
    }
  }
}

private struct VerifyReport: Encodable {
  var file: String
  var status: String
  var fileBytes: Int
  var formatVersion: Int
  var tensors: Int
  var weightBytes: Int
  var seconds: Double

  var text: String {
    "\(OneLine.escape(file)): good: \(Format.bytes(fileBytes)), \(tensors) tensors, checksums of"
      + " \(Format.grouped(weightBytes)) bytes of weights, tokenizer\n"
  }
}
