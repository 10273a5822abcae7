import EmberFormat
import EmberGeneration
import EmberModel
import EmberTestSupport
import Foundation
import SystemPackage
import Testing

/// What is restored is what was computed, bit for bit.
struct SessionFileTests {
  private let folder: TemporaryFolder
  private let file: SessionFile
  private var path: FilePath { folder.path("a.session") }

  init() throws {
    folder = try TemporaryFolder()
    file = SessionFile(folder.path("a.session"))
  }

  private func model(named name: String = "model", seed: UInt64 = 3) throws -> Model {
    try TinyModel.make(
      .random(seed: seed), in: folder, named: name, type: .q8, contextLength: 512)
  }

  /// Tokens that do not repeat themselves soon.
  private static func tokens(_ count: Int, seed: Int = 1) -> [Int32] {
    (0..<count).map { Int32(3 + ($0 * 37 + $0 * $0 * seed) % 256) }
  }

  private static func session(
    _ model: Model, context: Int? = nil, precision: CachePrecision = .half
  ) throws -> InferenceSession {
    try InferenceSession(
      model: model, contextLength: context, threads: 1, cachePrecision: precision)
  }

  /// The bits of the logits after `tokens`, computed from where the session is.
  private static func logits(_ session: InferenceSession, _ tokens: [Int32]) throws -> [UInt32] {
    try session.append(Array(tokens[session.position...])).map(\.bitPattern)
  }

  private func expectRoundTrip(_ model: Model, _ precision: CachePrecision) throws {
    let tokens = Self.tokens(150)
    let first = try Self.session(model, precision: precision)
    _ = try Self.logits(first, tokens)
    #expect(try file.save(tokens, of: first) > 0)
    let longer = tokens + Self.tokens(20, seed: 5)
    for text in [tokens, longer, Array(tokens[..<100]), Array(tokens[..<70]) + [9, 9, 9]] {
      let expected = try Self.logits(Self.session(model, precision: precision), text)
      let second = try Self.session(model, precision: precision)
      let restored = try file.restore(text, into: second)
      #expect(restored == min(zip(tokens, text).prefix { $0 == $1 }.count, text.count - 1))
      #expect(second.position == restored)
      #expect(try Self.logits(second, text) == expected)
      // What comes after is the same too.
      let other = try Self.session(model, precision: precision)
      _ = try Self.logits(other, text)
      #expect(try Self.logits(second, text + [7]) == Self.logits(other, text + [7]))
    }
  }

  @Test("logits after restoring are those of computing", arguments: CachePrecision.allCases)
  func roundTrip(_ precision: CachePrecision) throws {
    try expectRoundTrip(model(), precision)
  }

  @Test(
    "likewise for a model of the GPT-2 kind",
    .enabled(if: TestData.hasShared, "needs the checkpoint of novel-gpt2"),
    arguments: CachePrecision.allCases)
  func roundTripGPT2(_ precision: CachePrecision) throws {
    let model = try ConvertedModel.shared("novel-gpt2", bits: 4).model
    try expectRoundTrip(model, precision)
  }

  @Test(
    "prefixes of every kind of length",
    arguments: [1, 2, 15, 16, 17, 63, 64, 65, 127, 128, 129])
  func lengths(_ saved: Int) throws {
    let model = try model()
    let tokens = Self.tokens(140)
    let first = try Self.session(model)
    _ = try Self.logits(first, Array(tokens[..<saved]))
    try file.save(tokens, of: first)
    let expected = try Self.logits(Self.session(model), tokens)
    let second = try Self.session(model)
    #expect(try file.restore(tokens, into: second) == saved)
    #expect(try Self.logits(second, tokens) == expected)
  }

  @Test("a context of another length takes what it has room for")
  func contexts() throws {
    let model = try model()
    let tokens = Self.tokens(100)
    let first = try Self.session(model, context: 128)
    _ = try Self.logits(first, tokens)
    try file.save(tokens, of: first)
    for context in [40, 64, 65, 100, 512] {
      let text = Array(tokens[..<min(context, 100)])
      let expected = try Self.logits(Self.session(model), text)
      let second = try Self.session(model, context: context)
      #expect(try file.restore(text, into: second) == text.count - 1)
      #expect(try Self.logits(second, text) == expected)
      // More than the context holds.
      #expect(try file.restore(tokens, into: second) == min(context, 99))
    }
  }

  @Test("without a file, a shared beginning or positions, nothing is restored or written")
  func nothing() throws {
    let session = try Self.session(try model())
    #expect(try file.restore([5, 6], into: session) == 0)
    #expect(try file.save([5, 6], of: session) == 0)
    #expect(!FileManager.default.fileExists(atPath: path.string))
    _ = try session.append([5, 6])
    try file.save([5, 6], of: session)
    #expect(try file.restore([6, 6], into: session) == 0)
    #expect(session.position == 0)
    #expect(try file.restore([5], into: session) == 0)
    #expect(try file.restore([], into: session) == 0)
    #expect(try file.restore([5, 6], into: session) == 1)
  }

  @Test("a file of another model or another kind of cache is an error that names both")
  func others() throws {
    let model = try model()
    let session = try Self.session(model)
    _ = try session.append([5, 6, 7])
    try file.save([5, 6, 7], of: session)
    let other = try Self.session(try self.model(named: "other", seed: 4))
    let error = #expect(throws: SessionFileError.self) {
      try file.restore([5, 6, 7], into: other)
    }
    #expect(error?.description.contains("the model model (") == true)
    #expect(error?.description.contains("this is other (") == true)
    #expect(throws: SessionFileError.self) { try file.check(for: other) }
    let codes = try Self.session(model, precision: .int8)
    #expect(throws: SessionFileError.otherCache(path, saved: "16", current: "8")) {
      try file.restore([5, 6, 7], into: codes)
    }
    // The same model under another name is the same model.
    let copy = folder.path("copy")
    try FileManager.default.copyItem(atPath: model.file.path.string, toPath: copy.string)
    #expect(
      try file.restore([5, 6, 7], into: Self.session(Model(opening: copy))) == 2)
  }

  @Test("the text is the same with and without a file, and what could not be saved is told")
  func generator() throws {
    let model = try model()
    func generate(_ file: SessionFile?, _ prompt: String) throws -> TextGenerator.Result {
      let generator = TextGenerator(
        model: model, tokenizer: try .init(serialized: model.file.tokenizer),
        session: try Self.session(model))
      generator.sessionFile = file
      return try generator.generate(
        prompt: prompt, options: .init(maximumTokens: 20, seed: 5)
      ) { _ in }
    }
    let prompt = String(repeating: "abc de ", count: 20)
    let plain = try generate(nil, prompt)
    #expect(plain.sessionFileBytes == 0 && plain.restoredTokens == 0)
    for restored in [0, plain.promptTokens - 1, plain.promptTokens - 1] {
      let result = try generate(file, prompt)
      #expect(result.ids == plain.ids)
      #expect(result.restoredTokens == restored)
      #expect(result.sessionFileBytes > 0 && result.sessionFailure == nil)
    }
    // The conversation goes on: prompt and text are there, all but the last token.
    let next = prompt + plain.text + "b"
    #expect(try generate(file, next).ids == generate(nil, next).ids)
    let nowhere = SessionFile(folder.path("nowhere/a.session"))
    let failed = try generate(nowhere, prompt)
    #expect(failed.ids == plain.ids && failed.sessionFileBytes == 0)
    #expect(failed.sessionFailure?.description.contains("nowhere") == true)
  }

  @Test("a prompt that is stopped half-way is kept as far as it came")
  func cancelled() throws {
    let model = try model()
    let session = try InferenceSession(model: model, threads: 1, chunkLength: 16)
    let generator = TextGenerator(
      model: model, tokenizer: try .init(serialized: model.file.tokenizer), session: session)
    generator.sessionFile = file
    let prompt = String(repeating: "abc de ", count: 20)
    var asked = 0
    let stopped = try generator.generate(
      prompt: prompt, options: .init(),
      isCancelled: {
        asked += 1
        return asked > 3
      }, emit: { _ in })
    #expect(stopped.stopReason == .cancelled)
    let result = try generator.generate(
      prompt: prompt, options: .init(maximumTokens: 1)
    ) { _ in }
    #expect(result.restoredTokens == 48)
  }
}
