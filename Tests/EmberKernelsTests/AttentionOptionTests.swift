import EmberKernels
import Testing

@Suite("Attention with windows, soft caps and biases, and of encoders")
struct AttentionOptionTests {
  static let shapes = [(64, 2), (80, 4), (96, 3), (128, 1), (256, 2), (20, 5), (33, 8)]
  static let lengths = [(1, 1), (1, 9), (16, 3), (64, 17), (70, 2), (255, 4), (257, 1), (600, 3)]

  /// Every combination. A window and what sees all exclude one another.
  static func options(_ firstVisible: Int) -> [RandomAttention.Options] {
    var all: [RandomAttention.Options] = []
    for softCap: Float in [0, 5, 50] {
      for biasFrom in [nil, firstVisible - 1] {
        for window in [0, 1, 3, 64, 65, 100, 256, 300] {
          all.append(.init(window: window, softCap: softCap, biasFrom: biasFrom))
        }
        all.append(.init(seesAll: true, softCap: softCap, biasFrom: biasFrom))
      }
      // The tokens are the first of the positions, or come behind them all.
      all.append(.init(seesAll: true, softCap: softCap, biasFrom: 0))
      all.append(.init(seesAll: true, softCap: softCap, biasFrom: 2 * firstVisible))
    }
    return all
  }

  /// Calls with every combination of options, each with one shape and length.
  static func each(
    _ storage: RandomAttention.Storage, times: Int, _ check: (RandomAttention, String) -> Void
  ) {
    var random = SplitMix(state: 11)
    for time in 0..<times {
      for i in options(1).indices {
        let (dimension, heads) = shapes[Int.random(in: shapes.indices, using: &random)]
        let (first, tokens) = lengths[Int.random(in: lengths.indices, using: &random)]
        let options = options(first)[i]
        let work = RandomAttention(
          dimension: dimension, heads: heads, tokens: tokens, firstVisible: first, storage: storage,
          seed: UInt64(1000 * time + i), options: options)
        check(work, "\(dimension) × \(heads), \(first) visible, \(tokens) tokens, \(options)")
      }
    }
  }

  @Test(
    "every instruction set gives the scalar reference's bits, however the pieces are divided",
    arguments: RandomAttention.Storage.allCases)
  func tables(storage: RandomAttention.Storage) {
    Self.each(storage, times: 2) { work, name in
      let expected = work.outputs(.scalar).map(\.bitPattern)
      for kernels in Kernels.available {
        // The portable table's attention is the scalar one's.
        for division in kernels.name == "portable" ? [] : RandomAttention.Division.allCases {
          #expect(
            work.outputs(kernels, division).map(\.bitPattern) == expected,
            "\(kernels.name) \(division) \(name)")
        }
      }
    }
  }

  @Test("what attention is, to rounding", arguments: RandomAttention.Storage.allCases)
  func exactness(storage: RandomAttention.Storage) {
    Self.each(storage, times: 1) { work, name in
      var worst = 0.0
      for (got, exact) in zip(work.outputs(.best), work.exact) {
        worst = max(worst, abs(Double(got) - exact) / max(1, abs(exact)))
      }
      // As without options: scores reach 200 in size, their rounding is a relative error of weights.
      #expect(worst < (storage == .halves ? 1e-4 : 3e-4), "\(name)")
    }
  }

  @Test(
    "a token alone gives the bits that it gives among others",
    arguments: RandomAttention.Storage.allCases)
  func alone(storage: RandomAttention.Storage) {
    Self.each(storage, times: 1) { work, name in
      for kernels in [Kernels.scalar, .best] {
        let together = work.outputs(kernels)
        let size = work.heads * work.dimension
        for token in 0..<work.tokens {
          #expect(
            work.outputs(kernels, token: token, .withoutHidden).map(\.bitPattern)
              == together[token * size..<(token + 1) * size].map(\.bitPattern),
            "\(kernels.name) token \(token) \(name)")
        }
      }
    }
  }

  @Test(
    "what lies before the first token's window or behind all changes nothing",
    arguments: RandomAttention.Storage.allCases)
  func hidden(storage: RandomAttention.Storage) {
    for (first, tokens, window) in [(70, 1, 5), (300, 16, 64), (600, 3, 300), (129, 17, 1)] {
      let options = RandomAttention.Options(window: window, softCap: 30, biasFrom: first - 1)
      func outputs(_ hidden: UInt16, _ kernels: Kernels) -> [UInt32] {
        RandomAttention(
          dimension: 40, heads: 3, tokens: tokens, firstVisible: first, storage: storage, seed: 5,
          hidden: hidden, options: options
        ).outputs(kernels).map(\.bitPattern)
      }
      for kernels in Kernels.available {
        let expected = outputs(0, kernels)
        for hidden in [0x7E00, 0x7C00, 0xFC00] as [UInt16] {
          #expect(outputs(hidden, kernels) == expected, "\(kernels.name) \(first) \(window)")
        }
      }
    }
  }

  @Test("a window as long as all positions changes nothing; alone, one token sees all")
  func ineffective() {
    for (first, tokens) in Self.lengths {
      func outputs(_ options: RandomAttention.Options, _ kernels: Kernels) -> [UInt32] {
        RandomAttention(
          dimension: 64, heads: 3, tokens: tokens, firstVisible: first, storage: .q8, seed: 6,
          options: options
        ).outputs(kernels).map(\.bitPattern)
      }
      for kernels in Kernels.available {
        let plain = outputs(.init(), kernels)
        #expect(outputs(.init(window: first + tokens - 1), kernels) == plain, "\(kernels.name)")
        if tokens == 1 { #expect(outputs(.init(seesAll: true), kernels) == plain) }
      }
    }
  }
}
