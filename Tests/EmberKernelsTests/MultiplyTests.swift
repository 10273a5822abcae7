import EmberKernels
import Testing

@Suite("Matrix products: every instruction set gives the scalar reference's bits")
struct MultiplyTests {
  static let types: [MatrixType] = [.f16, .q8, .q6, .q5, .q4n, .q4]
  static let accelerated = Kernels.available.dropFirst()

  /// Bits of [tokens][rows] outputs.
  static func product(
    _ held: RandomMatrix, _ x: Activations, kernels: Kernels, bias: [Float]? = nil,
    accumulating: Bool = false
  ) -> [UInt32] {
    defer { withExtendedLifetime(held) {} }
    let matrix = held.matrix
    for tile in 0..<x.tileCount { x.quantize(tile: tile, kernels: kernels) }
    var output = [Float](repeating: 0.25, count: x.tokens * matrix.rows)
    output.withUnsafeMutableBufferPointer { output in
      guard let base = output.baseAddress else { return }
      if let bias {
        bias.withUnsafeBufferPointer {
          matrix.multiply(
            x, groups: 0..<matrix.rowGroups, output: base, stride: matrix.rows,
            bias: $0.baseAddress, accumulating: accumulating, kernels: kernels)
        }
      } else {
        matrix.multiply(
          x, groups: 0..<matrix.rowGroups, output: base, stride: matrix.rows,
          accumulating: accumulating, kernels: kernels)
      }
    }
    return output.map(\.bitPattern)
  }

  @Test("all widths, tails and token counts", arguments: types)
  func shapes(type: MatrixType) {
    for (rows, columns) in [
      (1, 1), (16, 64), (15, 63), (17, 65), (33, 172), (48, 256), (5, 31), (64, 32), (20, 33),
    ] {
      // Up to twice as many as are unpacked at a time.
      let steps = type == .f16 ? 0 : columns % 3 == 2 ? 19 : columns % 3
      let held = RandomMatrix(
        type, rows: rows, columns: columns, outlierSteps: steps, seed: UInt64(rows * columns))
      for tokens in [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 35] {
        let x = randomActivations(
          tokens: tokens, columns: columns, featureEvery: 3, transposes: tokens % 4 != 1,
          seed: UInt64(tokens))
        let expected = Self.product(held, x, kernels: .scalar)
        for kernels in Self.accelerated {
          let got = Self.product(held, x, kernels: kernels)
          #expect(got == expected, "\(kernels.name) \(type) \(rows)×\(columns) \(tokens) tokens")
        }
      }
    }
  }

  @Test("extreme weights", arguments: types, Filling.allCases)
  func extremes(type: MatrixType, filling: Filling) {
    let held = RandomMatrix(type, rows: 18, columns: 100, filling: filling, seed: 7)
    let x = randomActivations(tokens: 5, columns: 100, seed: 8)
    // The largest code in every place: the int16 sums inside AVX2 kernels come closest to overflow.
    for column in 0..<100 { x.vector(1)[column] = 3 }
    for column in 0..<100 { x.vector(2)[column] = column % 2 == 0 ? -3 : 3 }
    for column in 0..<100 { x.vector(3)[column] = 0 }
    for column in 0..<100 { x.vector(4)[column] = -1e-38 }
    let expected = Self.product(held, x, kernels: .scalar)
    for kernels in Self.accelerated {
      #expect(Self.product(held, x, kernels: kernels) == expected, "\(kernels.name)")
    }
  }

  @Test("memory that is not aligned", arguments: types)
  func misaligned(type: MatrixType) {
    let x = randomActivations(tokens: 6, columns: 130, seed: 3)
    let expected = Self.product(
      RandomMatrix(type, rows: 32, columns: 130, seed: 5), x, kernels: .scalar)
    for kernels in Self.accelerated {
      for misalignment in [2, 16, 34] {
        let held = RandomMatrix(type, rows: 32, columns: 130, misalignment: misalignment, seed: 5)
        #expect(Self.product(held, x, kernels: kernels) == expected, "\(kernels.name)")
      }
    }
  }

  @Test("bias and accumulation", arguments: types)
  func epilogue(type: MatrixType) {
    let held = RandomMatrix(type, rows: 21, columns: 64, seed: 11)
    let x = randomActivations(tokens: 3, columns: 64, seed: 12)
    let bias = (0..<21).map { Float($0) - 10 }
    let plain = Self.product(held, x, kernels: .scalar)
    for kernels in Kernels.available {
      let both = Self.product(held, x, kernels: kernels, bias: bias, accumulating: true)
      for (i, bits) in both.enumerated() {
        #expect(Float(bitPattern: bits) == Float(bitPattern: plain[i]) + bias[i % 21] + 0.25)
      }
    }
  }

  @Test("one token at a time gives the same bits as many at once", arguments: types)
  func batchInvariance(type: MatrixType) {
    let held = RandomMatrix(
      type, rows: 40, columns: 192, outlierSteps: type == .f16 ? 0 : 2, seed: 2)
    let together = randomActivations(tokens: 23, columns: 192, featureEvery: 2, seed: 4)
    for kernels in Kernels.available {
      let expected = Self.product(held, together, kernels: kernels)
      for token in 0..<23 {
        let single = Activations(tokens: 1, columns: 192)
        single.tokens = 1
        single.vector(0).update(from: together.vector(token), count: 192)
        let got = Self.product(held, single, kernels: kernels)
        #expect(got[...] == expected[token * 40..<(token + 1) * 40], "\(kernels.name) \(token)")
      }
    }
  }

  @Test(
    "against double precision: the int8 activations cost under 5 % of a row's size",
    arguments: types)
  func accuracy(type: MatrixType) {
    let columns = 256
    let held = RandomMatrix(
      type, rows: 32, columns: columns, outlierSteps: type == .f16 ? 0 : 1, seed: 9)
    defer { withExtendedLifetime(held) {} }
    for featureEvery in [nil, 1, 3] {
      let x = randomActivations(tokens: 4, columns: columns, featureEvery: featureEvery, seed: 10)
      let got = Self.product(held, x, kernels: .best)
      var weights = [Float](repeating: 0, count: columns)
      for row in 0..<32 {
        held.matrix.copyRow(row, to: &weights)
        for token in 0..<4 {
          var exact = 0.0
          var size = 0.0
          for c in 0..<columns {
            let product = Double(weights[c]) * Double(x.vector(token)[c])
            exact += product
            size += product * product
          }
          let error = abs(Double(Float(bitPattern: got[token * 32 + row])) - exact)
          #expect(
            error <= (type == .f16 ? 1e-5 : 5e-2) * size.squareRoot(),
            "\(type) features \(featureEvery ?? 0): \(error / size.squareRoot())")
        }
      }
    }
  }

  @Test("a value that is not finite is not lost", arguments: types)
  func notFinite(type: MatrixType) {
    let held = RandomMatrix(type, rows: 16, columns: 64, seed: 1)
    for bad in [Float.nan, .infinity] {
      let x = randomActivations(tokens: 2, columns: 64, seed: 1)
      x.vector(1)[40] = bad
      for kernels in Kernels.available {
        let got = Self.product(held, x, kernels: kernels).map { Float(bitPattern: $0) }
        let finite = got.map(\.isFinite)
        #expect(finite == (0..<32).map { $0 < 16 }, "\(kernels.name)")
      }
    }
  }
}
