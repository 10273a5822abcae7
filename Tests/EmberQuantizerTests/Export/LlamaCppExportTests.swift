import EmberModel
import EmberQuantizer
import EmberTestSupport
import EmberTokenizer
import Foundation
import SystemPackage
import Testing

/// What llama.cpp computes from an exported file, against what Ember computes from the model.
///
/// Needs a Python with llama-cpp-python, named by EMBER_PYTHON (CONTRIBUTING.md); skipped elsewhere.
@Suite("Export, llama.cpp", .enabled(if: LlamaCpp.isThere), .serialized)
struct LlamaCppExportTests {
  @Test("logits and tokens", arguments: GGUFExportTests.names)
  func same(name: (fixture: String, architecture: String)) throws {
    let fixture = try GGUFExportTests.fixture(name.fixture)
    try fixture.export(.gguf, to: "export.gguf")
    let ids: [Int32] = (0..<24).map { $0 * 7 % 250 }
    // The Python package has its own defaults of these, whatever the file says.
    let options: [String: Float] =
      name.fixture == "llama-yarn" ? ["yarn_beta_fast": 2, "yarn_beta_slow": 1] : [:]
    let answer = try LlamaCpp.ask(
      fixture.path("export.gguf"), ids, GGUFExportTests.texts, options)
    let model = try Model(opening: fixture.model)
    // The same context for both: LongRoPE depends on it.
    let session = try InferenceSession(model: model, contextLength: 256, threads: 1)
    var far = 0
    for (position, id) in ids.enumerated() {
      let found = try session.append([id])
      let distance = zip(found, answer.logits[position]).map { abs($0 - $1) }.max() ?? .infinity
      let size = found.map(abs).max() ?? 0
      // Weights in halves make llama.cpp round activations to halves; GELU is a table of halves
      // there. Ember rounds keys and values.
      if !(distance < 0.005 * size) {
        far += 1
        #expect(model.architecture.feedForward.experts != nil, "\(position): \(distance)")
      }
    }
    // Rounding may turn the choice between two experts.
    #expect(far <= 2)
    let tokenizer = try Tokenizer(serialized: model.file.tokenizer)
    for (text, tokens) in zip(GGUFExportTests.texts, answer.tokens) {
      #expect(tokenizer.encode(text, addingBeginOfSequence: false) == tokens, "\(text)")
    }
  }
}

/// `tools/llama_logits.py`
enum LlamaCpp {
  struct Answer: Decodable {
    /// [positions][vocabulary]
    let logits: [[Float]]
    let tokens: [[Int32]]
  }

  private struct Request: Encodable {
    let ids: [Int32]
    let texts: [String]
    let options: [String: Float]
  }

  private static let python = ProcessInfo.processInfo.environment["EMBER_PYTHON"]

  static let isThere: Bool = {
    guard python != nil else { return false }
    return (try? run(["-c", "import llama_cpp"], input: Data()))?.status == 0
  }()

  static func ask(
    _ model: FilePath, _ ids: [Int32], _ texts: [String], _ options: [String: Float]
  ) throws -> Answer {
    let result = try run(
      [TestData.bundled("tools/llama_logits.py"), model.string],
      input: try JSONEncoder().encode(Request(ids: ids, texts: texts, options: options)))
    try #require(result.status == 0, "llama.cpp does not load \(model)")
    return try JSONDecoder().decode(Answer.self, from: result.output)
  }

  private static func run(
    _ arguments: [String], input: Data
  ) throws -> (status: Int32, output: Data) {
    let process = Process()
    process.executableURL = URL(filePath: python ?? "/usr/bin/python3")
    process.arguments = arguments
    let folder = try TestData.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let (from, to) = (folder.appending(path: "input"), folder.appending(path: "output"))
    try input.write(to: from)
    try Data().write(to: to)
    process.standardInput = try FileHandle(forReadingFrom: from)
    process.standardOutput = try FileHandle(forWritingTo: to)
    process.standardError = FileHandle.nullDevice
    try process.run()
    process.waitUntilExit()
    return (process.terminationStatus, try Data(contentsOf: to))
  }
}
