import Ember
import EmberTestSupport
import Foundation
import Testing

@Suite("Mixtures of experts")
struct ExpertTests {
  @Test("say what transformers says, at 16 bits", arguments: ExpertCheckpoint.all)
  func reference(_ checkpoint: ExpertCheckpoint) throws {
    let model = try ExpertModel.converted(checkpoint, bits: 16).model
    let reference = try checkpoint.reference()
    let session = try InferenceSession(model: model, threads: 2)
    let rows = try ExpertModel.bits(
      session, reference.ids, lengths: [reference.ids.count], at: reference.positions)
    try #require(rows.count == reference.logits.count)
    // Of the largest difference, the share of how much logits differ.
    var largest: Float = 0
    let spread =
      reference.logits.map { row in
        let mean = row.reduce(0, +) / Float(row.count)
        return (row.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Float(row.count)).squareRoot()
      }.reduce(0, +) / Float(reference.logits.count)
    for (row, expected) in zip(rows, reference.logits) {
      for (bits, value) in zip(row, expected) {
        largest = max(largest, abs(Float(bitPattern: bits) - value))
      }
    }
    #expect(largest < 1e-4 * spread, "\(checkpoint): \(largest) of \(spread)")
  }

  @Test("say the same however a text is cut and computed", arguments: ExpertCheckpoint.all)
  func chunks(_ checkpoint: ExpertCheckpoint) throws {
    let reference = try checkpoint.reference()
    let ids = Array(reference.ids.prefix(150))
    for bits in [16, 8, 4] {
      let model = try ExpertModel.converted(checkpoint, bits: bits).model
      func rows(_ lengths: [Int], threads: Int, chunk: Int) throws -> [[UInt32]] {
        try ExpertModel.bits(
          InferenceSession(model: model, threads: threads, chunkLength: chunk), ids,
          lengths: lengths, at: reference.positions)
      }
      let expected = try rows([150], threads: 1, chunk: 150)
      #expect(try rows([1], threads: 1, chunk: 128) == expected, "steps, \(bits) bits")
      #expect(try rows([1], threads: 2, chunk: 128) == expected, "steps, 2 threads, \(bits) bits")
      #expect(try rows([37, 1, 2, 17], threads: 2, chunk: 7) == expected, "chunks, \(bits) bits")
      #expect(try rows([150], threads: 3, chunk: 128) == expected, "3 threads, \(bits) bits")
    }
  }

  @Test("several sequences at once get what each would get alone")
  func parallel() throws {
    let model = try ExpertModel.converted(ExpertCheckpoint.all[1], bits: 8).model
    let ids = try ExpertCheckpoint.all[1].reference().ids
    let session = try ParallelSession(model: model, sequences: 3, threads: 2, stepCapacity: 32)
    let alone = try (0..<3).map { _ in try InferenceSession(model: model, threads: 1) }
    for step in 0..<12 {
      let additions = (0..<3).map { sequence in
        let first = 20 * sequence + 5 * step
        return ParallelSession.Addition(
          sequence: sequence, tokens: Array(ids[first..<first + 1 + (step + sequence) % 4]),
          wantsLogits: true)
      }
      let logits = try session.append(additions)
      for sequence in 0..<3 {
        let expected = try alone[sequence].append(additions[sequence].tokens).map(\.bitPattern)
        #expect(logits[sequence].map(\.bitPattern) == expected)
      }
    }
  }

  @Test("lose little in blocks", arguments: ExpertCheckpoint.all)
  func blocks(_ checkpoint: ExpertCheckpoint) throws {
    // Random weights are the hardest to quantize, and rounding sends some tokens to other experts:
    // so the mean over a text counts. Bounds are some twice of what was found.
    for (bits, bound) in [(8, 0.1), (4, 0.6)] {
      let divergence = try Self.divergence(checkpoint, bits: bits)
      #expect(divergence < bound, "\(checkpoint), \(bits) bits: \(divergence)")
    }
  }

  /// KL(16 bits ‖ bits) in nats, the mean over a text.
  static func divergence(
    _ checkpoint: ExpertCheckpoint, bits: Int, recipe: Recipe = .fast
  ) throws -> Double {
    let ids = Array(try checkpoint.reference().ids.prefix(200))
    func probabilities(_ bits: Int, _ recipe: Recipe) throws -> [[Double]] {
      let model = try ExpertModel.converted(checkpoint, bits: bits, recipe: recipe).model
      var rows: [[Double]] = []
      try InferenceSession(model: model).append(ids) { _, logits in
        let exponentials = logits.map { exp(Double($0)) }
        let sum = exponentials.reduce(0, +)
        rows.append(exponentials.map { $0 / sum })
      }
      return rows
    }
    var sum = 0.0
    for (p, q) in zip(try probabilities(16, .fast), try probabilities(bits, recipe)) {
      for i in p.indices { sum += p[i] * log(p[i] / q[i]) }
    }
    return sum / Double(ids.count)
  }

  @Test("a token's bytes are those of its experts")
  func bytes() throws {
    let model = try ExpertModel.converted(ExpertCheckpoint.all[0], bits: 8).model
    let inventory = model.inventory
    #expect(inventory.experts.count == 16 && inventory.usedExperts == 2)
    #expect(inventory.expertBytesPerToken * 4 == inventory.expertBytes)
    let others = model.file.tensors.reduce(0) {
      $0 + ($1.name.contains(".experts.") ? 0 : $1.byteCount)
    }
    // Of the table of tokens, a group of rows.
    #expect(model.weightBytesPerToken < others + inventory.expertBytesPerToken)
    #expect(model.weightBytesPerToken > inventory.expertBytesPerToken)
    let routers = model.file.tensors.filter { $0.name.contains("router") }
    #expect(routers.count == 2 && routers.allSatisfy { $0.layout.type == .f16 })
  }

  @Test("layers without experts among those with them are refused by name")
  func refusals() throws {
    for (key, value) in [("mlp_only_layers", "[1]"), ("decoder_sparse_step", "2")] {
      let folder = try TestData.temporaryFolder()
      defer { try? FileManager.default.removeItem(at: folder) }
      let place = folder.appending(path: "model")
      try ExpertCheckpoint.all[1].write(to: place)
      let file = place.appending(path: "config.json")
      let text = try String(contentsOf: file, encoding: .utf8)
      let object = try JSONSerialization.jsonObject(with: Data(text.utf8))
      var values = try #require(object as? [String: Any])
      values[key] = try JSONSerialization.jsonObject(
        with: Data(value.utf8), options: [.fragmentsAllowed])
      try JSONSerialization.data(withJSONObject: values).write(to: file)
      let error = #expect(throws: CheckpointError.self) {
        try CheckpointReader.open(FilePath(place.path))
      }
      #expect(error?.category == .unsupported && error?.description.contains(key) == true)
    }
  }
}
