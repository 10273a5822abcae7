import EmberTestSupport
import Foundation
import Testing

/// Conversions that are stopped, and the format as a stranger reads it, all on the bundled model.
@Suite("Conversions that end badly, and files that others read", .serialized)
struct ConversionSafetyTests {
  private let folder: URL
  private let checkpoint = TestData.bundled("models/novel-llama")

  init() throws { folder = try TestData.temporaryFolder() }

  private func file(_ name: String) -> URL { folder.appending(path: name) }

  private func quantize(
    _ options: [String], whileRunning: (EmberProcess.Running) async throws -> Void = { _ in }
  ) async throws -> EmberProcess.Result {
    try await EmberProcess.run(
      ["quantize", checkpoint, "-o", "model.q4"] + options, in: folder, whileRunning: whileRunning)
  }

  /// Everything in the folder beside the model, hidden files too.
  private func leftovers() throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: folder.path).filter { $0 != "model.q4" }
  }

  @Test("killed at any moment, a conversion leaves the old file, and the next run cleans up")
  func killed() async throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    #expect(try await quantize(["--bits", "4", "--threads", "1"]).status == 0)
    let new = try Data(contentsOf: file("model.q4"))
    #expect(try await quantize(["--bits", "8"]).status == 0)
    let old = try Data(contentsOf: file("model.q4"))
    #expect(new != old)
    var keptOld = 0
    // The latest moment to kill at; halved where the conversion was faster, so that most moments
    // lie inside one on any machine, whatever else it does.
    var latest = Duration.milliseconds(500)
    for _ in 0..<40 where keptOld < 6 {
      try old.write(to: file("model.q4"))
      let result = try await quantize(["--bits", "4", "--threads", "1"]) { running in
        try await Task.sleep(for: latest * Double.random(in: 0...1))
        if running.process.isRunning { kill(running.process.processIdentifier, SIGKILL) }
      }
      // Between the rename and the end of the process the new file is there, and complete.
      let found = try Data(contentsOf: file("model.q4"))
      #expect(found == old || found == new)
      if result.status == 0 { latest = latest / 2 }
      if result.status == SIGKILL, found == old { keptOld += 1 }
    }
    #expect(keptOld == 6)
    #expect(try await quantize(["--bits", "4"]).status == 0)
    #expect(try leftovers() == [])
    #expect(try Data(contentsOf: file("model.q4")) == new)
  }

  @Test("killed without an old file, a conversion leaves none")
  func killedFirst() async throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let result = try await quantize(["--bits", "4", "--threads", "1"]) { running in
      // The temporary file is there: the conversion is under way.
      try await running.wait { ((try? leftovers()) ?? []).count > 0 }
      kill(running.process.processIdentifier, SIGKILL)
    }
    #expect(result.status == SIGKILL)
    #expect(!FileManager.default.fileExists(atPath: file("model.q4").path))
    #expect(try await quantize(["--bits", "4"]).status == 0)
    #expect(try leftovers() == [])
  }

  @Test("a limit on file size, as a full disk, is one clear error, and the old file stays")
  func diskFull() async throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    #expect(try await quantize(["--bits", "8"]).status == 0)
    let old = try Data(contentsOf: file("model.q4"))
    let binary = try EmberProcess.binary().path
    // 1 MiB in blocks of 512 bytes; the shell's limit is inherited.
    let process = Process()
    process.executableURL = URL(filePath: "/bin/sh")
    process.arguments = [
      "-c", "ulimit -f 2048; exec \"$0\" quantize \"$1\" -o \"$2\" --bits 4", binary, checkpoint,
      file("model.q4").path,
    ]
    let error = Pipe()
    process.standardError = error
    try process.run()
    let message = String(
      decoding: try error.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
    process.waitUntilExit()
    #expect(process.terminationReason == .exit && process.terminationStatus == 74)
    #expect(message.hasPrefix("ember: error: ") && message.filter(\.isNewline).count == 1)
    #expect(try Data(contentsOf: file("model.q4")) == old)
    #expect(try leftovers() == [])
  }

  // A Python with numpy and zstandard is set up by tools/test.
  @Test(
    "a reader written from the specification alone dequantizes what Ember computes with",
    .enabled(if: ProcessInfo.processInfo.environment["EMBER_PYTHON"] != nil),
    arguments: ["4", "5", "6", "8", "16"])
  func independentReader(bits: String) async throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let outliers = bits == "16" ? [] : ["--outliers", "1"]
    #expect(try await quantize(["--bits", bits] + outliers).status == 0)
    let python = try #require(ProcessInfo.processInfo.environment["EMBER_PYTHON"])
    let reader = Process()
    reader.executableURL = URL(filePath: python)
    reader.arguments = [
      TestData.bundled("tools/read_model.py"), file("model.q4").path, "--dequantize-all",
      file("tensors").path,
    ]
    reader.standardOutput = FileHandle.nullDevice
    try reader.run()
    reader.waitUntilExit()
    #expect(reader.terminationStatus == 0)
    try DequantizedTensors.expectEqual(model: file("model.q4").path, folder: file("tensors"))
  }
}
