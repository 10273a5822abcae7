import Ember
import EmberTestSupport
import Testing

@Suite("Several sequences in one pass over the weights", .serialized)
struct ParallelSessionTests {
  /// Ids from a seed.
  private static func ids(_ count: Int, seed: UInt64, of model: Model) -> [Int32] {
    var random = SplitMix64(seed: seed)
    let size = UInt64(model.architecture.vocabularySize)
    return (0..<count).map { _ in Int32(random.next() % size) }
  }

  /// Sequences of mixed lengths, computed in steps of mixed sizes, against each alone.
  private func expectEqual(
    _ model: Model, precision: CachePrecision = .half, threads: Int = 2
  ) throws {
    // Beyond one piece of attention, a tile and one, a single token, and nothing for a while.
    let texts = [300, 17, 1, 60].enumerated().map {
      Self.ids($1 + 4, seed: UInt64($0), of: model)
    }
    let session = try ParallelSession(
      model: model, sequences: texts.count, threads: threads, stepCapacity: 100,
      cachePrecision: precision)
    var random = SplitMix64(seed: 5)
    var last = [[UInt32]?](repeating: nil, count: texts.count)
    var singles: [InferenceSession] = []
    for _ in texts {
      singles.append(
        try InferenceSession(model: model, threads: 1, cachePrecision: precision))
    }
    var compared = 0
    while texts.indices.contains(where: { session.position(of: $0) < texts[$0].count }) {
      var additions: [ParallelSession.Addition] = []
      // Another order each time, too.
      for i in texts.indices.shuffled(using: &random) {
        let left = texts[i].count - session.position(of: i)
        let count = min(left, [0, 1, 1, 2, 16, 25][Int(random.next() % 6)])
        if count == 0 { continue }
        let start = session.position(of: i)
        additions.append(
          .init(
            sequence: i, tokens: Array(texts[i][start..<start + count]),
            wantsLogits: random.next() % 3 > 0))
      }
      if additions.isEmpty { continue }
      let logits = try session.append(additions)
      let wanted = additions.filter(\.wantsLogits)
      #expect(logits.count == wanted.count)
      last = last.map { _ in nil }
      for (row, addition) in wanted.enumerated() {
        last[addition.sequence] = logits[row].map(\.bitPattern)
      }
      for addition in additions {
        let alone = try singles[addition.sequence].append(addition.tokens).map(\.bitPattern)
        guard let bits = last[addition.sequence] else { continue }
        #expect(bits == alone, "sequence \(addition.sequence)")
        compared += 1
      }
    }
    #expect(compared > 10)
    #expect(texts.indices.map { session.position(of: $0) } == texts.map(\.count))
  }

  @Test(
    "gives each the bits that it gets alone, Llama architecture", arguments: [16, 8, 4],
    CachePrecision.allCases)
  func llama(bits: Int, precision: CachePrecision) throws {
    try expectEqual(ConvertedModel.bundled(bits: bits).model, precision: precision)
  }

  @Test(
    "gives each the bits that it gets alone, GPT-2 architecture",
    .enabled(if: TestData.hasShared, "the model is among the reference data"), arguments: [8, 4])
  func gpt2(bits: Int) throws {
    try expectEqual(ConvertedModel.shared("novel-gpt2", bits: bits).model, threads: 3)
  }

  @Test("computes the logits of more than a tile of sequences")
  func manySequences() throws {
    let model = try ConvertedModel.bundled(bits: 4).model
    let session = try ParallelSession(model: model, sequences: 37, contextLength: 8, threads: 2)
    let logits = try session.append(
      (0..<37).map { .init(sequence: $0, tokens: [Int32($0 + 5), 9], wantsLogits: $0 != 20) })
    #expect(logits.count == 36)
    let single = try InferenceSession(model: model, contextLength: 8, threads: 1)
    for (row, sequence) in (0..<37).filter({ $0 != 20 }).enumerated() {
      single.truncate(to: 0)
      let alone = try single.append([Int32(sequence + 5), 9]).map(\.bitPattern)
      #expect(logits[row].map(\.bitPattern) == alone, "\(sequence)")
    }
  }

  @Test("a sequence that was reset begins anew, the others go on")
  func reset() throws {
    let model = try ConvertedModel.bundled(bits: 8).model
    let session = try ParallelSession(model: model, sequences: 2, contextLength: 64, threads: 1)
    _ = try session.append([
      .init(sequence: 0, tokens: [5, 6, 7], wantsLogits: false),
      .init(sequence: 1, tokens: [8, 9], wantsLogits: true),
    ])
    session.reset(sequence: 0)
    #expect(session.position(of: 0) == 0 && session.position(of: 1) == 2)
    let logits = try session.append([
      .init(sequence: 1, tokens: [10], wantsLogits: true),
      .init(sequence: 0, tokens: [11], wantsLogits: true),
    ])
    let single = try InferenceSession(model: model, contextLength: 64, threads: 1)
    #expect(try single.append([8, 9, 10]).map(\.bitPattern) == logits[0].map(\.bitPattern))
    single.truncate(to: 0)
    #expect(try single.append([11]).map(\.bitPattern) == logits[1].map(\.bitPattern))
  }

  @Test("refuses what cannot be, and then appends nothing")
  func errors() throws {
    let model = try ConvertedModel.bundled(bits: 8).model
    let session = try ParallelSession(
      model: model, sequences: 2, contextLength: 6, threads: 1, stepCapacity: 8)
    func append(_ additions: (Int, [Int32])...) throws {
      _ = try session.append(
        additions.map { .init(sequence: $0.0, tokens: $0.1, wantsLogits: true) })
    }
    let size = model.architecture.vocabularySize
    let cases: [(ModelError, [(Int, [Int32])])] = [
      (.noTokens, []), (.noTokens, [(0, [1]), (1, [])]),
      (.invalidSequence(index: 2, count: 2), [(0, [1]), (2, [1])]),
      (.invalidSequence(index: -1, count: 2), [(-1, [1])]),
      (.invalidSequence(index: 0, count: 2), [(0, [1]), (0, [1])]),
      (
        .contextFull(capacity: 6, used: 0, added: 7), [(1, [Int32](repeating: 1, count: 7))]
      ),
      (
        .unknownToken(id: Int32(size), vocabularySize: size), [(0, [1]), (1, [Int32(size)])]
      ),
      (.unknownToken(id: -1, vocabularySize: size), [(0, [-1])]),
      (
        .stepTooLong(tokens: 10, capacity: 8),
        [(0, [Int32](repeating: 1, count: 5)), (1, [Int32](repeating: 1, count: 5))]
      ),
    ]
    for (error, additions) in cases {
      #expect(throws: error) {
        _ = try session.append(
          additions.map { .init(sequence: $0.0, tokens: $0.1, wantsLogits: true) })
      }
      #expect(session.position(of: 0) == 0 && session.position(of: 1) == 0)
    }
    try append((0, [1, 2]), (1, [1, 2, 3, 4, 5, 6]))
    #expect(throws: ModelError.contextFull(capacity: 6, used: 6, added: 1)) {
      try append((0, [1]), (1, [1]))
    }
    #expect(session.position(of: 0) == 2)
  }
}
