import CKernels
import EmberKernels
import Testing

@Suite("Weight encoding: every instruction set gives the scalar reference's bits")
struct EncodeTests {
  struct Encoded: Equatable {
    var codes: [Int8]
    var scales: [UInt16]
    var errors: [UInt32]
  }

  static func encode(
    _ kernels: Kernels, _ weights: [Float], _ importance: [Float], lowest: Float, highest: Float,
    bothSigns: Bool
  ) -> Encoded {
    let blocks = weights.count / 32
    var codes = [Int8](repeating: 0, count: weights.count)
    var scales = [UInt16](repeating: 0, count: blocks)
    var errors = [Float](repeating: 0, count: blocks)
    let factors: [Float] = [0.8, 0.9, 1, 1.1]
    factors.withUnsafeBufferPointer { factors in
      var grid = ember_grid(
        lowest: lowest, highest: highest, factors: factors.baseAddress, factor_count: 4,
        both_signs: bothSigns ? 1 : 0)
      kernels.table.encode?(weights, importance, blocks, &grid, &codes, &scales, &errors)
    }
    return Encoded(codes: codes, scales: scales, errors: errors.map(\.bitPattern))
  }

  @Test(arguments: [(Float(-8), Float(7), true), (-127, 127, false)])
  func agree(grid: (Float, Float, Bool)) {
    var random = SplitMix(state: 21)
    for size: Float in [1, 1e-3, 1e-6, 1e-9, 1e5, 1e30] {
      var weights = (0..<32 * 40).map { _ in random.normal() * size }
      for block in 0..<40 where block % 5 == 0 { weights[32 * block + block % 32] *= 64 }
      for i in 32 * 7..<32 * 8 { weights[i] = 0 }
      for i in 32 * 9..<32 * 10 { weights[i] = size }
      for i in 32 * 11 + 1..<32 * 12 { weights[i] = 0 }
      let ones = [Float](repeating: 1, count: weights.count)
      let uneven = weights.indices.map { $0 % 7 == 0 ? Float(400) : Float($0 % 3) }
      for importance in [ones, uneven] {
        func run(_ kernels: Kernels) -> Encoded {
          Self.encode(
            kernels, weights, importance, lowest: grid.0, highest: grid.1, bothSigns: grid.2)
        }
        let expected = run(.scalar)
        for kernels in Kernels.available { #expect(run(kernels) == expected, "\(kernels.name)") }
      }
    }
  }

  @Test("the search never loses more than plain rounding to the largest weight")
  func betterThanRounding() {
    var random = SplitMix(state: 5)
    let weights = (0..<32 * 200).map { _ in random.normal() }
    let ones = [Float](repeating: 1, count: weights.count)
    let got = Self.encode(.best, weights, ones, lowest: -8, highest: 7, bothSigns: true)
    var better = 0
    for block in 0..<200 {
      let values = weights[32 * block..<32 * block + 32]
      let extreme = values.max { abs($0) < abs($1) } ?? 0
      let scale = Half.value(Half.bits(extreme / -8))
      let plain = values.reduce(Float(0)) { sum, w in
        let code = min(max((w / scale).rounded(.toNearestOrEven), -8), 7)
        return sum + (w - code * scale) * (w - code * scale)
      }
      let found = Float(bitPattern: got.errors[block])
      #expect(found <= plain * 1.001)
      if found < 0.9 * plain { better += 1 }
    }
    // In a good third of the blocks, a tenth less or better.
    #expect(better > 60)
  }
}
