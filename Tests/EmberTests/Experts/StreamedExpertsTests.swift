import Ember
import EmberTestSupport
import Foundation
import Testing

/// Experts that come and go must be the experts: every logit bit for bit as from the mapping.
@Suite("Experts that stream", .serialized)
struct StreamedExpertsTests {
  /// A plan with everything pinned but experts, which have so many slots; with none, the least of all.
  static func plan(_ model: Model, slots: Int?, chunk: Int? = nil) throws -> MemoryPlan {
    func plan(_ budget: Int, isForced: Bool = false) throws(ModelError) -> MemoryPlan {
      try MemoryPlan(
        model.inventory, model.architecture,
        MemoryRequest(
          budget: .bytes(budget), context: .positions(320), chunkLength: chunk,
          isForced: isForced),
        resident: 0, name: "model")
    }
    let least = try plan(0, isForced: true)
    #expect(least.weights == .streamed && !least.fits)
    guard let slots else { return try plan(least.totalBytes) }
    let slotBytes = least.expertBytes / least.expertSlots
    // Whatever the ring and the pages around matrices take. (With a longer chunk, which costs memory
    // that only streaming saves, so small a model has no budgets in between.)
    for budget in stride(from: least.totalBytes, to: least.totalBytes << 4, by: slotBytes / 2) {
      let plan = try plan(budget)
      if plan.ringBytes == 0, plan.expertSlots >= slots { return plan }
    }
    throw ModelError.noTokens
  }

  @Test("the logits of the mapped file, however few slots", arguments: ExpertCheckpoint.all)
  func logits(_ checkpoint: ExpertCheckpoint) throws {
    let reference = try checkpoint.reference()
    let ids = Array(reference.ids.prefix(90))
    let positions = [0, 30, 31, 60, 89]
    for bits in [16, 8, 4] {
      let model = try ExpertModel.converted(checkpoint, bits: bits).model
      let mapped = try InferenceSession(model: model, contextLength: 320, threads: 1)
      let lengths = [30, 1, 1, 40, 1]
      let expected = try ExpertModel.bits(mapped, ids, lengths: lengths, at: positions)
      let used = model.inventory.usedExperts
      for (slots, threads, chunk) in [
        (nil, 1, 7), (nil, 3, 40), (used + 1, 2, nil), (2 * used + 1, 2, nil),
      ] as [(Int?, Int, Int?)] {
        let plan = try Self.plan(model, slots: slots, chunk: chunk)
        #expect(plan.weights == .streamed && plan.expertSlots < plan.expertCount)
        let session = try InferenceSession(model: model, plan: plan, threads: threads)
        #expect(
          try ExpertModel.bits(session, ids, lengths: lengths, at: positions) == expected,
          "\(checkpoint), \(bits) bits, \(plan.expertSlots) slots, \(threads) threads")
        let statistics = try #require(session.expertStatistics)
        #expect(statistics.misses > 0 && statistics.bytesRead <= session.bytesStreamed)
      }
    }
  }

  @Test("every use is a hit or a miss, and what is read again was pushed out")
  func counts() throws {
    let model = try ExpertModel.converted(ExpertCheckpoint.all[0], bits: 8).model
    let all = model.inventory.experts.count
    let uses = model.inventory.usedExperts * model.architecture.layerCount
    // Slots for all: each is read once.
    let plan = try Self.plan(model, slots: all)
    #expect(plan.expertSlots == all && plan.streamedBytes == 0)
    let session = try InferenceSession(model: model, plan: plan, threads: 2)
    for i in 0..<100 { _ = try session.append([Int32(i)]) }
    let full = try #require(session.expertStatistics)
    #expect(full.hits + full.misses == 100 * uses)
    #expect(full.misses <= all && full.misses >= uses)
    let slotBytes = plan.expertBytes / all
    #expect(full.bytesRead <= full.misses * slotBytes)
    // Ever fewer: ever more are read, but never more than all uses.
    var before = full.misses
    for slots in [8, 4, 3] {
      let plan = try Self.plan(model, slots: slots)
      #expect(plan.expertSlots == slots)
      let session = try InferenceSession(model: model, plan: plan, threads: 2)
      for i in 0..<100 { _ = try session.append([Int32(i)]) }
      let few = try #require(session.expertStatistics)
      #expect(few.hits + few.misses == 100 * uses)
      #expect(few.misses > before, "\(slots) slots: \(few)")
      before = few.misses
    }
    // A layer keeps its own: even slots for less than a token are of use.
    #expect(before < 100 * uses)
  }

  @Test("the same token again finds its experts where they were")
  func repeated() throws {
    let model = try ExpertModel.converted(ExpertCheckpoint.all[1], bits: 8).model
    let used = model.inventory.usedExperts
    let plan = try Self.plan(model, slots: used * (model.architecture.layerCount + 1))
    let session = try InferenceSession(model: model, plan: plan, threads: 1)
    var before = ExpertStatistics()
    for i in 0..<20 {
      session.truncate(to: 0)
      _ = try session.append([65])
      let now = try #require(session.expertStatistics)
      if i > 0 { #expect(now.misses == before.misses && now.hits > before.hits) }
      before = now
    }
  }

  @Test("a file that is cut off while it is in use is an error")
  func damage() throws {
    let folder = try TestData.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let copy = folder.appending(path: "model.q8").path
    let original = try ExpertModel.converted(ExpertCheckpoint.all[0], bits: 8).path
    try FileManager.default.copyItem(atPath: original.string, toPath: copy)
    let model = try Model(opening: FilePath(copy))
    let session = try InferenceSession(model: model, plan: try Self.plan(model, slots: 3))
    _ = try session.append([1, 2, 3])
    let handle = try FileHandle(forWritingTo: URL(filePath: copy))
    try handle.truncate(atOffset: 8192)
    try handle.close()
    let error = #expect(throws: ModelError.self) {
      for i in 0..<30 { _ = try session.append([Int32(i)]) }
    }
    guard case .reading(.truncated) = error else {
      Issue.record("expected a truncated file, found \(String(describing: error))")
      return
    }
  }

  @Test("sessions end while experts are being read, again and again")
  func endings() throws {
    let model = try ExpertModel.converted(ExpertCheckpoint.all[2], bits: 4).model
    let plan = try Self.plan(model, slots: nil)
    for i in 0..<40 {
      let session = try InferenceSession(model: model, plan: plan, threads: 1 + i % 3)
      if i % 2 == 0 { _ = try session.append([Int32(i), 7, 9]) }
    }
  }

  @Test("plans: what is no expert first, then slots, within every budget")
  func plans() throws {
    let model = try ExpertModel.converted(ExpertCheckpoint.all[2], bits: 8).model
    let least = try Self.plan(model, slots: nil)
    #expect(least.expertSlots == model.inventory.usedExperts)
    var slots = 0
    var streamed = Int.max
    for step in 0..<60 {
      let budget = least.totalBytes + step * least.expertBytes / 4
      let plan = try MemoryPlan(
        model.inventory, model.architecture,
        MemoryRequest(budget: .bytes(budget), context: .positions(320)), resident: 0,
        name: "model")
      #expect(plan.fits && plan.totalBytes <= budget)
      if plan.weights != .streamed { break }
      #expect(plan.expertSlots >= slots && plan.streamedBytes <= streamed)
      if plan.expertSlots > least.expertSlots { #expect(plan.ringBytes == 0) }
      slots = plan.expertSlots
      streamed = plan.streamedBytes
    }
    #expect(slots > 2 * least.expertSlots)
  }
}
