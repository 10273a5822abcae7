import Ember
import EmberTestSupport
import Foundation
import Testing

/// Weights that are pinned or stream must be the weights: every logit bit for bit as from the mapping.
@Suite("Weights that stream", .serialized)
struct StreamedWeightsTests {
  /// A plan whose budget leaves `share` of the matrices' bytes for pinned slices, if it can.
  static func plan(
    _ model: Model, share: Double, context: Int = 128, chunk: Int? = nil,
    cachePrecision: CachePrecision = .half
  ) throws -> MemoryPlan {
    func plan(_ budget: Int, isForced: Bool = false) throws(ModelError) -> MemoryPlan {
      try MemoryPlan(
        model.inventory, model.architecture,
        MemoryRequest(
          budget: .bytes(budget), context: .positions(context), cachePrecision: cachePrecision,
          chunkLength: chunk, isForced: isForced),
        resident: 0, name: "model")
    }
    let least = try plan(0, isForced: true)
    #expect(least.weights == .streamed && !least.fits)
    let result = try plan(least.totalBytes + Int(share * Double(model.inventory.matrixBytes)))
    #expect(result.fits)
    return result
  }

  static func ids(_ converted: ConvertedModel, _ count: Int) throws -> [Int32] {
    let story = try String(
      contentsOfFile: TestData.bundled("models/novel-llama/story.txt"), encoding: .utf8)
    return Array(converted.tokenizer.encode(story).prefix(count))
  }

  private static func expectSame(_ converted: ConvertedModel, share: Double) throws {
    let model = converted.model
    let ids = try ids(converted, 90)
    for (threads, chunk) in [(1, 7), (2, 90), (5, 16)] {
      let plan = try plan(model, share: share, chunk: chunk)
      #expect(plan.weights == .streamed && plan.streamedBytes > 0)
      let mapped = try InferenceSession(
        model: model, contextLength: 128, threads: threads, chunkLength: chunk)
      let streamed = try InferenceSession(model: model, plan: plan, threads: threads)
      // A prompt, single tokens, a step back, and passes with and without logits in turn.
      for range in [0..<40, 40..<41, 41..<42, 42..<80] {
        let tokens = Array(ids[range])
        let expected = try mapped.append(tokens).map(\.bitPattern)
        #expect(try streamed.append(tokens).map(\.bitPattern) == expected, "\(share) \(threads)")
      }
      for session in [mapped, streamed] { session.truncate(to: 30) }
      var rows: [[UInt32]] = []
      try mapped.append(Array(ids[30..<70])) { rows.append($1.map(\.bitPattern)) }
      try streamed.append(Array(ids[30..<70])) { index, logits in
        #expect(logits.map(\.bitPattern) == rows[index], "\(share), \(threads), row \(index)")
      }
      #expect(
        try streamed.append([ids[70]]).map(\.bitPattern)
          == mapped.append([ids[70]]).map(\.bitPattern))
    }
  }

  @Test("the logits of the mapped file, whatever is pinned", arguments: [4, 8, 16])
  func logits(bits: Int) throws {
    for share in [0, 0.3, 0.6, 0.9] {
      try Self.expectSame(ConvertedModel.bundled(bits: bits), share: share)
    }
  }

  @Test("with outliers, and with 8 bits in the cache")
  func outliers() throws {
    let converted = try ConvertedModel.bundled(bits: 4, outliers: .percent(0.5))
    try Self.expectSame(converted, share: 0.5)
    let ids = try Self.ids(converted, 50)
    let mapped = try InferenceSession(
      model: converted.model, contextLength: 128, cachePrecision: .int8)
    let plan = try Self.plan(converted.model, share: 0.5, cachePrecision: .int8)
    let streamed = try InferenceSession(model: converted.model, plan: plan)
    #expect(try streamed.append(ids).map(\.bitPattern) == mapped.append(ids).map(\.bitPattern))
  }

  @Test(
    "GPT-2: biases, learned positions, a tied head",
    .enabled(if: TestData.hasShared, "the model is among the reference data"))
  func gpt2() throws {
    for share in [0, 0.5, 0.95] {
      try Self.expectSame(ConvertedModel.shared("novel-gpt2", bits: 4), share: share)
    }
  }

  @Test("a pass reads what the plan says, and no more")
  func bytesRead() throws {
    let model = try ConvertedModel.bundled(bits: 8).model
    for share in [0, 0.5] {
      let plan = try Self.plan(model, share: share)
      let session = try InferenceSession(model: model, plan: plan, threads: 1)
      _ = try session.append([1, 2, 3])
      // Readers run ahead of the computation by no more than the ring.
      let before = session.bytesStreamed
      let passes = 50
      for i in 0..<passes { _ = try session.append([Int32(i)]) }
      let perPass = Double(session.bytesStreamed - before) / Double(passes)
      let slack = Double(plan.ringBytes) / Double(passes) + Double(model.inventory.tableRowBytes)
      let expected = Double(plan.streamedBytes - session.lentBytes)
      #expect(abs(perPass - expected) <= slack, "\(perPass), \(plan)")
      // Pages around slices, and no more, beyond what has no place.
      let homeless = model.inventory.matrixBytes + model.inventory.vectorBytes - plan.pinnedBytes
      #expect(Double(plan.streamedBytes) < 1.3 * Double(homeless))
    }
  }

  @Test("a file that is cut off while it is in use is an error, and a removed one is none")
  func damage() throws {
    let folder = try TestData.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let original = try ConvertedModel.bundled(bits: 8).model.file.path.string
    let copy = folder.appending(path: "model.q8").path
    try FileManager.default.copyItem(atPath: original, toPath: copy)

    let model = try Model(opening: FilePath(copy))
    let plan = try Self.plan(model, share: 0.2)
    let session = try InferenceSession(model: model, plan: plan)
    let expected = try session.append([1, 2, 3]).map(\.bitPattern)
    try FileManager.default.removeItem(atPath: copy)
    session.truncate(to: 0)
    #expect(try session.append([1, 2, 3]).map(\.bitPattern) == expected)

    try FileManager.default.copyItem(atPath: original, toPath: copy)
    let cutModel = try Model(opening: FilePath(copy))
    let cutSession = try InferenceSession(model: cutModel, plan: plan)
    _ = try cutSession.append([1, 2, 3])
    let handle = try FileHandle(forWritingTo: URL(filePath: copy))
    try handle.truncate(atOffset: 8192)
    try handle.close()
    let error = #expect(throws: ModelError.self) {
      for _ in 0..<3 { _ = try cutSession.append([4]) }
    }
    guard case .reading(.truncated) = error else {
      Issue.record("expected a truncated file, found \(String(describing: error))")
      return
    }
    #expect(ExitStatus(for: try #require(error)) == .inputOutput)
  }

  @Test("sessions end while readers are ahead, again and again")
  func endings() throws {
    let model = try ConvertedModel.bundled(bits: 4).model
    let plan = try Self.plan(model, share: 0.1)
    for i in 0..<40 {
      let session = try InferenceSession(model: model, plan: plan, threads: 1 + i % 3)
      if i % 2 == 0 { _ = try session.append([Int32(i)]) }
    }
  }
}
