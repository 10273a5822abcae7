import EmberTestSupport
import Foundation
import Testing

/// `ember quantize` with recipes, texts and statistics.
@Suite("Calibration")
struct CalibrationTests {
  private static let text = String(repeating: "the note on the hat, not the oath; ", count: 12)

  /// A checkpoint with a text beside it.
  private func checkpoint() throws -> TinyCheckpoint {
    let checkpoint = try TinyCheckpoint()
    try checkpoint.write(Self.text, to: "text.txt")
    return checkpoint
  }

  private func quantize(
    _ checkpoint: TinyCheckpoint, _ arguments: [String]
  ) async throws -> EmberProcess.Result {
    try await EmberProcess.run(["quantize", "model.bin"] + arguments, in: checkpoint.folder)
  }

  @Test("Saved statistics give the bytes of the text, on any number of threads")
  func sameBytes() async throws {
    let checkpoint = try checkpoint()
    let base = ["--recipe", "best"]
    let first = try await quantize(
      checkpoint,
      base + ["--calibrate", "text.txt", "--save-statistics", "a.stats", "--threads", "1"])
    #expect(first.status == 0, "\(first)")
    let bytes = try checkpoint.bytes(of: "model.q4")
    for arguments in [
      ["--calibrate", "text.txt", "--threads", "2"], ["--statistics", "a.stats", "--threads", "2"],
      ["--statistics", "a.stats", "--save-statistics", "a.stats"],
    ] {
      let result = try await quantize(checkpoint, base + arguments + ["-o", "again.q4"])
      #expect(result.status == 0, "\(result)")
      #expect(try checkpoint.bytes(of: "again.q4") == bytes, "\(arguments)")
    }
    #expect(
      try checkpoint.files
        == ["a.stats", "again.q4", "model.bin", "model.q4", "text.txt", "tokenizer.bin"])
  }

  @Test("Every recipe, precision and rule makes a file that the other commands take")
  func allKinds() async throws {
    let checkpoint = try checkpoint()
    for arguments in [
      ["--recipe", "fast"], ["--recipe", "balanced", "--calibrate", "text.txt"],
      ["--bits", "5", "--recipe", "best", "--calibrate", "text.txt"], ["--bits", "6"],
      ["--bits", "8", "--calibrate", "text.txt"], ["--bits", "16", "--calibrate", "text.txt"],
      ["--tensor-type", "layers.*=q8", "--tensor-type", "*.down.*=f16"],
      ["--tensor-type", "*=q4", "--recipe", "best", "--calibrate", "text.txt"],
    ] {
      let result = try await quantize(checkpoint, arguments + ["-o", "model.out"])
      #expect(result.status == 0 && result.error.isEmpty, "\(arguments): \(result)")
      let run = try await checkpoint.ember("logits", "model.out", "--prompt", "the")
      #expect(run.status == 0, "\(arguments): \(run)")
      #expect(try await checkpoint.ember("verify", "model.out").status == 0)
    }
    let listed = try await quantize(
      checkpoint, ["--tensor-type", "layers.1.*=q8", "-o", "model.out"])
    #expect(listed.status == 0)
    let inspected = try await checkpoint.ember("inspect", "model.out")
    let lines = inspected.output.split(separator: "\n")
    #expect(lines.contains { $0.contains("layers.1.attention.query.weight") && $0.contains("q8") })
    #expect(lines.contains { $0.contains("layers.0.attention.query.weight") && $0.contains("q4n") })
  }

  @Test("Failures: one line, the documented status, nothing written")
  func failures() async throws {
    let checkpoint = try checkpoint()
    try checkpoint.write("", to: "empty.txt")
    try checkpoint.write("no statistics", to: "noise.stats")
    try FileManager.default.createDirectory(
      at: checkpoint.folder.appending(path: "folder"), withIntermediateDirectories: false)
    // Of another model: the bundled one.
    try await saveOtherStatistics(to: checkpoint.path("other.stats"))
    let saved = try await quantize(
      checkpoint,
      ["--calibrate", "text.txt", "--save-statistics", "diagonal.stats", "-o", "folder/model.q4"])
    #expect(saved.status == 0, "\(saved)")
    let texts = ["--calibrate", "text.txt"]
    let before = try checkpoint.files
    for (arguments, status, words) in [
      (["--recipe", "best"], 64, "--calibrate or --statistics"),
      (["--tensor-type", "model.layers.*=q8"], 64, "model.layers.*, which fits none"),
      (["--tensor-type", "*=q8", "--tensor-type", "*norm*=q8"], 64, "*norm*, which fits none"),
      (["--save-statistics", "a.stats"], 64, "--calibrate"),
      (["--calibrate", "empty.txt"], 65, "no tokens"),
      (["--calibrate", "missing.txt"], 66, "missing.txt: no such file"),
      (["--calibrate", "folder"], 66, "folder"),
      (["--statistics", "missing.stats"], 66, "missing.stats"),
      (["--statistics", "folder"], 66, "folder"),
      (["--statistics", "noise.stats"], 65, "not a statistics file"),
      (["--statistics", "other.stats"], 65, "different models"),
      (["--statistics", "other.stats", "--save-statistics", "a.stats"], 65, "different models"),
      (["--statistics", "diagonal.stats", "--statistics", "other.stats"], 65, "different models"),
      (["--recipe", "best", "--statistics", "diagonal.stats"], 65, "expected full"),
      (texts + ["--save-statistics", "nowhere/a.stats"], 73, "nowhere/a.stats"),
      (texts + ["--save-statistics", "folder"], 73, "--save-statistics"),
      (texts + ["--save-statistics", "new/"], 73, "--save-statistics"),
      (texts + ["--save-statistics", "/dev/null"], 73, "--save-statistics"),
      (texts + ["--save-statistics", "model.bin"], 73, "--save-statistics"),
      (texts + ["--save-statistics", "text.txt"], 73, "--save-statistics"),
      (texts + ["--save-statistics", "model.q4"], 64, "another file"),
      (texts + ["-o", "text.txt"], 73, "-o"), (texts + ["-o", "nowhere/model.q4"], 73, "nowhere"),
      (["--statistics", "diagonal.stats", "-o", "diagonal.stats"], 73, "-o"),
    ] {
      let result = try await quantize(checkpoint, arguments)
      #expect(result.isError(Int32(status)), "\(arguments): \(result)")
      #expect(result.error.contains(words), "\(arguments): \(result.error)")
    }
    #expect(try checkpoint.files == before)
  }

  private func saveOtherStatistics(to path: String) async throws {
    let folder = try TestData.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    try Data(Self.text.utf8).write(to: folder.appending(path: "text.txt"))
    let result = try await EmberProcess.run(
      [
        "quantize", TestData.bundled("models/novel-llama"), "--calibrate", "text.txt",
        "--save-statistics", path, "-o", "model.q4",
      ], in: folder)
    try #require(result.status == 0, "\(result)")
  }

  @Test("Killed while it calibrates, a conversion leaves what the next one removes")
  func killed() async throws {
    let checkpoint = try TinyCheckpoint(contextLength: 512)
    try checkpoint.write(String(repeating: Self.text, count: 200), to: "text.txt")
    let before = try checkpoint.files
    func calibrate(
      whileRunning: (EmberProcess.Running) async throws -> Void = { _ in }
    ) async throws -> EmberProcess.Result {
      try await checkpoint.ember(
        "quantize", "model.bin", "--recipe", "best", "--calibrate", "text.txt", "--threads", "1",
        whileRunning: whileRunning)
    }
    let result = try await calibrate { running in
      // The statistics are begun.
      try await running.wait {
        ((try? checkpoint.files) ?? []).contains { $0.hasPrefix("..model.q4.statistics.") }
      }
      running.send(SIGKILL)
    }
    #expect(result.status == SIGKILL)
    try checkpoint.write("the note", to: "text.txt")
    #expect(try await calibrate().status == 0)
    #expect(try checkpoint.files == (before + ["model.q4"]).sorted())
  }

  @Test("Ctrl-C while it calibrates leaves nothing")
  func interrupted() async throws {
    let checkpoint = try TinyCheckpoint(contextLength: 512)
    try checkpoint.write(String(repeating: Self.text, count: 2000), to: "text.txt")
    let before = try checkpoint.files
    let result = try await checkpoint.ember(
      "quantize", "model.bin", "--recipe", "best", "--calibrate", "text.txt", "--threads", "1"
    ) { running in
      try await running.wait {
        ((try? checkpoint.files) ?? []).contains { $0.hasPrefix("..model.q4.statistics.") }
      }
      running.interrupt()
    }
    #expect(result.isError(130), "\(result)")
    #expect(try checkpoint.files == before)
  }
}
