import EmberTestSupport
import Foundation
import Testing

@Suite("Ctrl-C")
struct InterruptionTests {
  @Test("ends a text after the current token, with the statistics")
  func run() async throws {
    // More tokens than it takes to be interrupted.
    let checkpoint = try TinyCheckpoint(contextLength: 1 << 16)
    try await checkpoint.quantize()
    let result = try await checkpoint.ember(
      "run", "model.q4", "--prompt", "the", "-n", "60000", "--ignore-end",
      "--temperature", "0"
    ) { running in
      try await running.wait { running.outputBytes > 0 }
      running.interrupt()
    }
    #expect(result.status == 130, "\(result.error)")
    #expect(!result.output.isEmpty)
    #expect(result.error.contains("stopped  interrupted"))
  }

  @Test("SIGTERM and SIGHUP end a text as Ctrl-C does", arguments: [SIGTERM, SIGHUP])
  func otherSignals(_ signal: Int32) async throws {
    let checkpoint = try TinyCheckpoint(contextLength: 1 << 16)
    try await checkpoint.quantize()
    let result = try await checkpoint.ember(
      "run", "model.q4", "--prompt", "the", "-n", "60000", "--ignore-end"
    ) { running in
      try await running.wait { running.outputBytes > 0 }
      running.send(signal)
    }
    #expect(result.status == 128 + signal, "\(result.error)")
    #expect(result.error.contains("stopped  interrupted"))
  }

  @Test("A measurement ends with the status of the signal", arguments: [SIGINT, SIGTERM, SIGHUP])
  func measurement(_ signal: Int32) async throws {
    let checkpoint = try TinyCheckpoint(contextLength: 1 << 15)
    try await checkpoint.quantize()
    let ids = [String](repeating: "5", count: 30_000).joined(separator: ",")
    let result = try await checkpoint.ember("logits", "model.q4", "--all", "--tokens", ids) {
      running in
      try await running.wait { running.outputBytes > 0 }
      running.send(signal)
    }
    #expect(result.status == 128 + signal && result.error.isEmpty, "\(result.error)")
  }

  @Test("A model file that shrinks while it is in use is an error of one line")
  func shrinkingModel() async throws {
    let checkpoint = try TinyCheckpoint(contextLength: 1 << 16)
    try await checkpoint.quantize()
    let result = try await checkpoint.ember(
      "run", "model.q4", "--prompt", "the", "-n", "60000", "--ignore-end"
    ) { running in
      try await running.wait { running.outputBytes > 0 }
      let file = try FileHandle(
        forWritingTo: checkpoint.folder.appending(path: "model.q4"))
      try file.truncate(atOffset: 0)
      try file.close()
    }
    #expect(result.status == 74, "\(result.status) \(result.error)")
    #expect(
      result.error == "ember: error: model.q4: the model file changed or became unreadable while it"
        + " was in use: restore it and run again\n")
  }

  @Test("ends a conversion and leaves no file", arguments: [SIGINT, SIGTERM, SIGHUP])
  func quantize(_ signal: Int32) async throws {
    let checkpoint = try TinyCheckpoint()
    // Zeros that take no room on the disk: sixteen layers of width 2048, which the signal finds at work
    // however late it comes.
    let header: [UInt32] = [2048, 8192, 16, 16, 16, 270, 64]
    let floats =
      270 * 2048 + 16 * (2 * 2048 + 4 * 2048 * 2048 + 3 * 2048 * 8192) + 2048 + 64 * 128
    try checkpoint.write(
      header.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> (8 * $0)) } },
      to: "model.bin")
    let file = try FileHandle(
      forWritingTo: checkpoint.folder.appending(path: "model.bin"))
    try file.truncate(atOffset: UInt64(28 + 4 * floats))
    try file.close()
    let before = try checkpoint.files
    let result = try await checkpoint.ember("quantize", "model.bin") { running in
      try await running.wait { (try? checkpoint.files.count > before.count) ?? false }
      running.send(signal)
    }
    #expect(result.isError(128 + signal), "\(result)")
    #expect(try checkpoint.files == before)
  }

  @Test("is not needed when the reader goes: the text ends quietly")
  func brokenPipe() async throws {
    let checkpoint = try TinyCheckpoint(contextLength: 1 << 14)
    try await checkpoint.quantize()
    // A shell has the pipe; its status is that of ember.
    let binary = try EmberProcess.binary().path
    let process = Process()
    process.executableURL = URL(filePath: "/bin/bash")
    process.arguments = [
      "-c",
      "'\(binary)' run model.q4 --prompt the -n 16000 --ignore-end 2>errors | head -c 1 >/dev/null;"
        + " exit ${PIPESTATUS[0]}",
    ]
    process.currentDirectoryURL = checkpoint.folder
    let (ends, continuation) = AsyncStream.makeStream(of: Void.self)
    process.terminationHandler = { _ in continuation.finish() }
    try process.run()
    for await _ in ends {}
    #expect(process.terminationStatus == 0)
    #expect(try checkpoint.bytes(of: "errors").isEmpty)
  }
}
