import EmberKernels
import Testing

@Suite("Attention: every instruction set gives the scalar reference's bits")
struct AttentionTests {
  static let shapes = [
    (8, 2), (16, 1), (20, 3), (33, 5), (64, 2), (64, 8), (80, 4), (128, 4),
  ]
  static let lengths = [
    (1, 1), (1, 5), (16, 1), (63, 3), (64, 1), (65, 2), (200, 17), (255, 3), (257, 1), (600, 1),
  ]

  @Test("all dimensions, lengths and groupings", arguments: RandomAttention.Storage.allCases)
  func shapes(storage: RandomAttention.Storage) {
    for (dimension, heads) in Self.shapes {
      for (first, tokens) in Self.lengths {
        let work = RandomAttention(
          dimension: dimension, heads: heads, tokens: tokens, firstVisible: first, storage: storage,
          seed: UInt64(dimension * 1000 + first * 10 + tokens))
        let expected = work.outputs(.scalar)
        for kernels in Kernels.available.dropFirst() {
          #expect(
            work.outputs(kernels).map(\.bitPattern) == expected.map(\.bitPattern),
            "\(kernels.name) \(dimension) \(heads) \(first) \(tokens)")
        }
      }
    }
  }

  @Test("half precision: what attention is, to rounding")
  func exactness() {
    for (dimension, heads) in Self.shapes {
      for (first, tokens) in Self.lengths {
        let work = RandomAttention(
          dimension: dimension, heads: heads, tokens: tokens, firstVisible: first, storage: .halves,
          seed: UInt64(dimension + first))
        for (got, exact) in zip(work.outputs(.best), work.exact) {
          // Scores reach 50 in size; their rounding, a few 1e-6, is a relative error of weights.
          #expect(abs(Double(got) - exact) < 1e-4 * max(1, abs(exact)), "\(got) \(exact)")
        }
      }
    }
  }

  @Test(
    "codes: what attention is with queries of int8, to rounding",
    arguments: [RandomAttention.Storage.q8, .q8q4, .q4])
  func codes(storage: RandomAttention.Storage) {
    for (dimension, heads) in Self.shapes {
      let work = RandomAttention(
        dimension: dimension, heads: heads, tokens: 3, firstVisible: 300, storage: storage,
        seed: UInt64(dimension))
      for (got, exact) in zip(work.outputs(.best), work.exact) {
        // Scores reach 200 in size; their rounding is a relative error of weights.
        #expect(
          abs(Double(got) - exact) < 3e-4 * max(1, abs(exact)), "\(dimension) \(got) \(exact)")
      }
    }
  }

  @Test(
    "a token alone gives the bits that it gives among others",
    arguments: RandomAttention.Storage.allCases)
  func alone(storage: RandomAttention.Storage) {
    for (first, tokens, heads) in [(1, 17, 3), (50, 16, 8), (250, 9, 2), (500, 16, 1)] {
      let work = RandomAttention(
        dimension: 64, heads: heads, tokens: tokens, firstVisible: first, storage: storage, seed: 3)
      for kernels in Kernels.available {
        let together = work.outputs(kernels)
        for token in 0..<tokens {
          let size = heads * 64
          #expect(
            work.outputs(kernels, token: token).map(\.bitPattern)
              == together[token * size..<(token + 1) * size].map(\.bitPattern),
            "\(kernels.name) \(first) \(token)")
        }
      }
    }
  }

  @Test(
    "pieces computed apart and joined give the bits of all at once",
    arguments: RandomAttention.Storage.allCases)
  func pieces(storage: RandomAttention.Storage) {
    for first in [1, 256, 257, 1000] {
      let work = RandomAttention(
        dimension: 64, heads: 5, tokens: 1, firstVisible: first, storage: storage, seed: 4)
      for kernels in Kernels.available {
        #expect(
          work.outputs(kernels, .pieceByPiece).map(\.bitPattern)
            == work.outputs(kernels).map(\.bitPattern), "\(kernels.name) \(first)")
      }
    }
  }

  @Test(
    "what lies behind the visible positions changes nothing",
    arguments: RandomAttention.Storage.allCases)
  func hidden(storage: RandomAttention.Storage) {
    for hidden in [0x7E00, 0x7C00, 0xFC00] as [UInt16] {
      for (first, tokens) in [(1, 1), (17, 1), (60, 16), (250, 5)] {
        func outputs(_ hidden: UInt16, _ kernels: Kernels) -> [UInt32] {
          RandomAttention(
            dimension: 40, heads: 3, tokens: tokens, firstVisible: first, storage: storage, seed: 5,
            hidden: hidden
          ).outputs(kernels).map(\.bitPattern)
        }
        for kernels in Kernels.available {
          #expect(outputs(hidden, kernels) == outputs(0, kernels), "\(kernels.name) \(first)")
        }
      }
    }
  }

  @Test("queries of extreme values have the scalar reference's codes")
  func queries() {
    let extremes: [Float] = [
      0, -0, .leastNonzeroMagnitude, 1e-31, 2e-30, 1, -127, 3.4e38, -3.4e38, .infinity, .nan,
    ]
    for dimension in [1, 15, 16, 17, 31, 32, 33, 64, 100] {
      for (i, extreme) in extremes.enumerated() {
        var random = SplitMix(state: UInt64(dimension * 100 + i))
        var query = (0..<dimension).map { _ in random.normal() }
        query[dimension / 2] = extreme
        func encoded(_ kernels: Kernels) -> ([Int8], [UInt32], [Int32]) {
          let blocks = (dimension + 31) / 32
          var codes = [Int8](repeating: 1, count: blocks * 32)
          var scales = [Float](repeating: 1, count: blocks)
          var sums = [Int32](repeating: 1, count: blocks)
          kernels.table.quantize_query(query, dimension, &codes, &scales, &sums)
          return (codes, scales.map { $0.isNaN ? 1 : $0.bitPattern }, sums)
        }
        let expected = encoded(.scalar)
        for kernels in Kernels.available.dropFirst() {
          #expect(encoded(kernels) == expected, "\(kernels.name) \(dimension) \(extreme)")
        }
      }
    }
  }
}
