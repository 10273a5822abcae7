import CKernels
import EmberKernels
import Foundation
import Testing

@Suite("Attention: every instruction set gives the scalar reference's bits")
struct AttentionTests {
  /// Outputs of `tokens` × `heads` queries over a random cache.
  static func run(
    _ kernels: Kernels, dimension: Int, tokens: Int, heads: Int, firstVisible: Int, seed: UInt64
  ) -> (output: [Float], exact: [Double]) {
    var random = SplitMix(state: seed)
    let padded = (dimension + 15) / 16 * 16
    let positions = (firstVisible + tokens - 1 + 63) / 64 * 64
    var keys = [UInt16](repeating: 0, count: positions * dimension)
    var values = [UInt16](repeating: 0, count: positions * padded)
    for i in keys.indices { keys[i] = Half.bits(random.normal()) }
    for p in 0..<positions {
      for d in 0..<dimension { values[p * padded + d] = Half.bits(random.normal()) }
    }
    let count = tokens * heads
    let queries = (0..<count * dimension).map { _ in random.normal() * 2 }
    var output = [Float](repeating: 0, count: count * dimension)
    var scratch = [Float](repeating: 0, count: count * (padded + 16))
    var exact = [Double](repeating: 0, count: count * dimension)
    for q in 0..<count {
      let visible = firstVisible + q / heads
      let scores = (0..<visible).map { p in
        (0..<dimension).reduce(0.0) { sum, d in
          let key = Half.value(keys[(p / 16 * dimension + d) * 16 + p % 16])
          return sum + Double(key) * Double(queries[q * dimension + d])
        }
      }
      let top = scores.max() ?? 0
      let weights = scores.map { exp($0 - top) }
      let total = weights.reduce(0, +)
      for d in 0..<dimension {
        exact[q * dimension + d] =
          (0..<visible).reduce(0.0) {
            $0 + weights[$1] * Double(Half.value(values[$1 * padded + d]))
          } / total
      }
    }
    queries.withUnsafeBufferPointer { queries in
      keys.withUnsafeBufferPointer { keys in
        values.withUnsafeBufferPointer { values in
          output.withUnsafeMutableBufferPointer { output in
            scratch.withUnsafeMutableBufferPointer { scratch in
              var a = ember_attention(
                queries: queries.baseAddress, query_stride: dimension, query_count: count,
                heads_per_token: heads, first_visible: firstVisible, keys: keys.baseAddress,
                values: values.baseAddress, dimension: dimension, padded_dimension: padded,
                output: output.baseAddress, output_stride: dimension,
                scratch: scratch.baseAddress)
              kernels.table.attend?(&a)
            }
          }
        }
      }
    }
    return (output, exact)
  }

  @Test("all dimensions, lengths and groupings")
  func shapes() {
    for (dimension, heads) in [(8, 2), (16, 1), (20, 3), (64, 2), (128, 4)] {
      for (first, tokens) in [(1, 1), (1, 5), (16, 1), (63, 3), (64, 1), (65, 2), (200, 17)] {
        let seed = UInt64(dimension * 1000 + first * 10 + tokens)
        let expected = Self.run(
          .scalar, dimension: dimension, tokens: tokens, heads: heads, firstVisible: first,
          seed: seed)
        for (got, exact) in zip(expected.output, expected.exact) {
          // Scores reach 50 in size; their rounding, a few 1e-6, is a relative error of weights.
          #expect(abs(Double(got) - exact) < 1e-4 * max(1, abs(exact)), "\(got) \(exact)")
        }
        for kernels in Kernels.available.dropFirst() {
          let got = Self.run(
            kernels, dimension: dimension, tokens: tokens, heads: heads, firstVisible: first,
            seed: seed)
          #expect(
            got.output.map(\.bitPattern) == expected.output.map(\.bitPattern),
            "\(kernels.name) \(dimension) \(heads) \(first) \(tokens)")
        }
      }
    }
  }
}
