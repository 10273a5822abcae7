import CKernels
import EmberKernels
import Testing

@Suite("Encoding in groups: every instruction set gives the scalar reference's bits")
struct GroupEncodeTests {
  struct Encoded: Equatable {
    var scales: [UInt32]
    var codes: [UInt8]
    var errors: [UInt32]
  }

  static let uneven: [Float] = [-32, -27, -21, -16, -12, -8, -5, -2, 1, 3, 6, 9, 13, 17, 22, 28]

  /// `values`: the levels, or empty for the integers −16 ... 15.
  static func encode(
    _ kernels: Kernels, _ weights: [Float], _ importance: [Float], values: [Float]
  ) -> Encoded {
    let groups = weights.count / 16
    var scales = [Float](repeating: 0, count: groups)
    var codes = [UInt8](repeating: 0, count: weights.count)
    var errors = [Float](repeating: 0, count: groups)
    let factors: [Float] = [0.8, 0.9, 1, 1.1]
    let middles = zip(values, values.dropFirst()).map { ($0 + $1) / 2 }
    factors.withUnsafeBufferPointer { factors in
      values.withUnsafeBufferPointer { values in
        middles.withUnsafeBufferPointer { middles in
          var levels = ember_levels(
            lowest: values.first ?? -16, highest: values.last ?? 15,
            values: values.isEmpty ? nil : values.baseAddress,
            middles: values.isEmpty ? nil : middles.baseAddress, factors: factors.baseAddress,
            factor_count: 4)
          kernels.table.search_groups?(weights, importance, groups, &levels, &scales)
          kernels.table.round_groups?(
            weights, importance, groups, &levels, scales, &codes, &errors)
        }
      }
    }
    return Encoded(
      scales: scales.map(\.bitPattern), codes: codes, errors: errors.map(\.bitPattern))
  }

  @Test(arguments: [uneven, []])
  func agree(values: [Float]) {
    var random = SplitMix(state: 22)
    for size: Float in [1, 1e-3, 1e-9, 1e-38, 1e5, 1e30] {
      var weights = (0..<16 * 80).map { _ in random.normal() * size }
      for group in 0..<80 where group % 5 == 0 { weights[16 * group + group % 16] *= 64 }
      for i in 16 * 7..<16 * 8 { weights[i] = 0 }
      for i in 16 * 9..<16 * 10 { weights[i] = size }
      for i in 16 * 11 + 1..<16 * 12 { weights[i] = 0 }
      let ones = [Float](repeating: 1, count: weights.count)
      let uneven = weights.indices.map { $0 % 7 == 0 ? Float(400) : Float($0 % 3) }
      for importance in [ones, uneven] {
        let expected = Self.encode(.scalar, weights, importance, values: values)
        for kernels in Kernels.available {
          #expect(
            Self.encode(kernels, weights, importance, values: values) == expected,
            "\(kernels.name), size \(size)")
        }
      }
    }
  }

  @Test("each code is the nearest level at the scale that was found, and errors are what is lost")
  func nearest() {
    var random = SplitMix(state: 6)
    let weights = (0..<16 * 50).map { _ in random.normal() }
    let ones = [Float](repeating: 1, count: weights.count)
    let got = Self.encode(.best, weights, ones, values: Self.uneven)
    for group in 0..<50 {
      let scale = Double(Float(bitPattern: got.scales[group]))
      var lost = 0.0
      for i in 16 * group..<16 * group + 16 {
        let error = abs(Double(weights[i]) - scale * Double(Self.uneven[Int(got.codes[i])]))
        for level in Self.uneven {
          #expect(error <= abs(Double(weights[i]) - scale * Double(level)) + 1e-5)
        }
        lost += error * error
      }
      #expect(abs(lost - Double(Float(bitPattern: got.errors[group]))) < 1e-4 * lost)
    }
  }
}
