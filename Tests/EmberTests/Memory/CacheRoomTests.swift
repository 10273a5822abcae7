import Ember
import EmberModel
import EmberTestSupport
import Foundation
import Testing

/// Room of the key/value cache holds weights until positions need it: that must change nothing but what
/// is read.
@Suite("Room lent to weights", .serialized)
struct CacheRoomTests {
  private static let context = 512

  private static func plan(
    _ model: Model, pinnedShare: Double = 0.2, sequences: Int = 1
  ) throws -> MemoryPlan {
    func plan(_ budget: Int, isForced: Bool) throws(ModelError) -> MemoryPlan {
      try MemoryPlan(
        model.inventory, model.architecture,
        MemoryRequest(
          budget: .bytes(budget), context: .positions(context), chunkLength: 64,
          sequences: sequences, isForced: isForced),
        resident: 0, name: "model")
    }
    let least = try plan(0, isForced: true).totalBytes
    return try plan(
      least + Int(pinnedShare * Double(model.inventory.matrixBytes)), isForced: false)
  }

  @Test("the same logits while it is taken back, and no more read than is without a place")
  func oneText() throws {
    let converted = try ConvertedModel.bundled(bits: 8)
    let model = converted.model
    let plan = try Self.plan(model)
    let ids = try StreamedWeightsTests.ids(converted, Self.context)
    let mapped = try InferenceSession(model: model, contextLength: Self.context, threads: 2)
    let session = try InferenceSession(model: model, plan: plan, threads: 2)
    let first = session.lentBytes
    #expect(first > 0)
    var last = first
    for range in [0..<10, 10..<11, 11..<150, 150..<300, 300..<301, 301..<511, 511..<512] {
      let expected = try mapped.append(Array(ids[range])).map(\.bitPattern)
      #expect(try session.append(Array(ids[range])).map(\.bitPattern) == expected, "\(range)")
      #expect(session.lentBytes <= last)
      last = session.lentBytes
    }
    #expect(last == 0, "a full cache needs all of its room")

    let fresh = try InferenceSession(model: model, plan: plan, threads: 1)
    _ = try fresh.append([1])
    let before = fresh.bytesStreamed
    let passes = 50
    for i in 1...passes { _ = try fresh.append([Int32(i)]) }
    #expect(fresh.lentBytes == first)
    let perPass = Double(fresh.bytesStreamed - before) / Double(passes)
    let slack = Double(plan.ringBytes) / Double(passes) + Double(model.inventory.tableRowBytes)
    #expect(abs(perPass - Double(plan.streamedBytes - first)) <= slack, "\(perPass)")
  }

  @Test("all weights find a place at first, and some lose it later")
  func nothingStreamsAtFirst() throws {
    let converted = try ConvertedModel.bundled(bits: 4)
    let model = converted.model
    let sequences = 4
    let free = try ParallelSession(model: model, plan: Self.plan(model, sequences: sequences))
      .lentBytes
    // So much pinned that the rest has room in the caches.
    let plans = try stride(from: 0.4, to: 2, by: 0.02).map {
      try Self.plan(model, pinnedShare: $0, sequences: sequences)
    }
    let plan = try #require(plans.first { $0.streamedBytes > 0 && $0.streamedBytes < free / 2 })
    let session = try ParallelSession(model: model, plan: plan, threads: 2)
    #expect(session.lentBytes == plan.streamedBytes, "the head does not stream")
    let mapped = try InferenceSession(model: model, contextLength: Self.context, threads: 2)
    let ids = try StreamedWeightsTests.ids(converted, Self.context)
    for start in stride(from: 0, to: Self.context, by: 4) {
      let tokens = Array(ids[start..<start + 4])
      let expected = try mapped.append(tokens).map(\.bitPattern)
      let found = try session.append(
        (0..<sequences).map { .init(sequence: $0, tokens: tokens, wantsLogits: true) })
      for i in 0..<sequences {
        #expect(found[i].map(\.bitPattern) == expected, "position \(start), text \(i)")
      }
    }
    #expect(session.lentBytes == 0)
  }

  @Test("what the cache and the lent slices have is never more than the plan keeps for the cache")
  func promise() throws {
    let model = try ConvertedModel.bundled(bits: 4).model
    let plan = try Self.plan(model)
    let session = try InferenceSession(model: model, plan: plan)
    for i in 0..<Self.context {
      _ = try session.append([Int32(i % 100)])
      guard let resident = session.cache.residentByteCount else { return }
      #expect(resident + session.lentBytes <= plan.cacheBytes + 4 * 4096, "position \(i)")
    }
  }

  @Test("several texts, one of which takes another's place")
  func severalTexts() throws {
    let converted = try ConvertedModel.bundled(bits: 4)
    let model = converted.model
    let ids = try StreamedWeightsTests.ids(converted, 400)
    let plan = try Self.plan(model, sequences: 3)
    let mapped = try ParallelSession(
      model: model, sequences: 3, contextLength: Self.context, threads: 2, stepCapacity: 64)
    let session = try ParallelSession(model: model, plan: plan, threads: 2)
    #expect(session.lentBytes > 0)
    for start in stride(from: 0, to: 320, by: 5) {
      let additions = (0..<3).map { sequence in
        ParallelSession.Addition(
          sequence: sequence, tokens: Array(ids[start + sequence..<start + sequence + 5]),
          wantsLogits: true)
      }
      let expected = try mapped.append(additions)
      let found = try session.append(additions)
      for i in 0..<3 {
        #expect(found[i].map(\.bitPattern) == expected[i].map(\.bitPattern), "\(start), \(i)")
      }
      if start == 160 {
        for each in [mapped, session] {
          each.reset(sequence: 1)
          each.copy(sequence: 2, to: 1)
        }
      }
    }
  }

  @Test("a text that is restored takes its room before it is read")
  func restored() throws {
    let folder = try TestData.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let converted = try ConvertedModel.bundled(bits: 4)
    let ids = try StreamedWeightsTests.ids(converted, Self.context)
    let file = SessionFile(FilePath(folder.appending(path: "a.session").path))
    let mapped = try InferenceSession(model: converted.model, contextLength: Self.context)
    _ = try mapped.append(Array(ids.dropLast()))
    try file.save(ids, of: mapped)
    let session = try InferenceSession(
      model: converted.model, plan: Self.plan(converted.model))
    #expect(session.lentBytes > 0)
    #expect(try file.restore(ids, into: session) == Self.context - 1)
    #expect(session.lentBytes == 0)
    let expected = try mapped.append([ids[Self.context - 1]]).map(\.bitPattern)
    #expect(try session.append([ids[Self.context - 1]]).map(\.bitPattern) == expected)
  }
}
