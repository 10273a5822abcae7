import CKernels
import EmberKernels
import Foundation
import Testing

@Suite("Norms, activations and reductions")
struct ElementTests {
  static let lengths = [1, 2, 15, 16, 17, 31, 32, 33, 64, 172, 256]

  static func inputs(_ n: Int) -> [Float] {
    var random = SplitMix(state: UInt64(n))
    return (0..<n).map { _ in random.normal() * 3 }
  }

  /// Runs one operation on copies of its inputs, with every table.
  static func agree(_ operation: (ember_kernels, inout [Float]) -> Float) {
    for n in lengths {
      var expected = inputs(n)
      let expectedResult = operation(Kernels.scalar.table, &expected)
      for kernels in Kernels.available {
        var got = inputs(n)
        let result = operation(kernels.table, &got)
        #expect(got.map(\.bitPattern) == expected.map(\.bitPattern), "\(kernels.name) n = \(n)")
        #expect(result.bitPattern == expectedResult.bitPattern, "\(kernels.name) n = \(n)")
      }
    }
  }

  @Test func norms() {
    Self.agree { table, x in
      let gain = Self.inputs(x.count + 1)
      var out = x
      table.rms_norm?(x, gain, 1e-5, x.count, &out)
      x = out
      return 0
    }
    Self.agree { table, x in
      let gain = Self.inputs(x.count + 1)
      let bias = Self.inputs(x.count + 2)
      var out = x
      table.layer_norm?(x, gain, bias, 1e-5, x.count, &out)
      x = out
      return 0
    }
  }

  @Test func elementwise() {
    Self.agree { table, x in
      table.silu?(&x, x.count)
      return 0
    }
    Self.agree { table, x in
      table.gelu_tanh?(&x, x.count)
      return 0
    }
    Self.agree { table, x in
      table.gelu?(&x, x.count)
      return 0
    }
    Self.agree { table, x in
      table.relu?(&x, x.count)
      return 0
    }
    for cap: Float in [0.01, 1, 30, 50] {
      Self.agree { table, x in
        table.soft_cap?(&x, cap, x.count)
        return 0
      }
    }
    Self.agree { table, x in
      table.multiply_elements?(&x, Self.inputs(x.count + 1), x.count)
      return 0
    }
    Self.agree { table, x in
      table.add_elements?(&x, Self.inputs(x.count + 1), x.count)
      return 0
    }
    Self.agree { table, x in
      let top = table.maximum?(x, x.count) ?? .nan
      let total = table.exponentials?(&x, top, x.count) ?? .nan
      return total + top
    }
  }

  @Test("rotations of both pairings")
  func rotations() {
    for halves: Int32 in [0, 1] {
      Self.agree { table, x in
        // As many pairs as there are inputs.
        var pairs = x + Self.inputs(x.count + 1).prefix(x.count)
        table.rotate?(&pairs, Self.inputs(2 * x.count), x.count, halves)
        x = pairs
        return 0
      }
    }
    // A quarter turn of the first pair, none of the second.
    for kernels in Kernels.available {
      var adjacent: [Float] = [1, 2, 3, 4]
      var halves: [Float] = [1, 3, 2, 4]
      kernels.table.rotate?(&adjacent, [0, 1, 1, 0], 2, 0)
      kernels.table.rotate?(&halves, [0, 1, 1, 0], 2, 1)
      #expect(adjacent == [-2, 1, 3, 4], "\(kernels.name)")
      #expect(halves == [-2, 3, 1, 4], "\(kernels.name)")
    }
  }

  @Test("norms against double precision")
  func normAccuracy() {
    let x = Self.inputs(256)
    let gain = Self.inputs(257)
    var out = x
    Kernels.best.table.rms_norm?(x, gain, 1e-5, 256, &out)
    let squares = x.reduce(0.0) { $0 + Double($1) * Double($1) }
    let factor = 1 / (squares / 256 + 1e-5).squareRoot()
    for i in 0..<256 {
      let exact = Double(x[i]) * factor * Double(gain[i])
      #expect(abs(Double(out[i]) - exact) <= 1e-6 * abs(exact))
    }
    Kernels.best.table.layer_norm?(x, gain, nil, 1e-5, 256, &out)
    let mean = x.reduce(0.0) { $0 + Double($1) } / 256
    let variance = x.reduce(0.0) { $0 + (Double($1) - mean) * (Double($1) - mean) } / 256
    for i in 0..<256 {
      let exact = (Double(x[i]) - mean) / (variance + 1e-5).squareRoot() * Double(gain[i])
      #expect(abs(Double(out[i]) - exact) <= 2e-6 * max(1, abs(exact)))
    }
  }

  @Test("the stated error bounds of exp, SiLU and GELU")
  func errorBounds() {
    var x: [Float] = []
    for step in -17_400...17_400 { x.append(Float(step) * 0.005) }
    var exponentials = x
    _ = Kernels.best.table.exponentials?(&exponentials, 0, x.count)
    var silu = x
    Kernels.best.table.silu?(&silu, x.count)
    var geluTanh = x
    Kernels.best.table.gelu_tanh?(&geluTanh, x.count)
    for (i, value) in x.enumerated() {
      let v = Double(value)
      #expect(abs(Double(exponentials[i]) - exp(v)) <= 2e-7 * exp(v), "exp \(v)")
      let exactSilu = v / (1 + exp(-v))
      #expect(abs(Double(silu[i]) - exactSilu) <= 4e-7 * abs(exactSilu) + 1e-36, "silu \(v)")
      let exactGelu = 0.5 * v * (1 + tanh(0.7978845608028654 * (v + 0.044715 * v * v * v)))
      #expect(abs(Double(geluTanh[i]) - exactGelu) <= 1e-5 * abs(exactGelu) + 1e-6, "gelu \(v)")
    }
  }

  @Test("the stated error bounds of the exact GELU and of soft caps")
  func exactGeluAndSoftCap() {
    var x: [Float] = []
    for step in -60_000...60_000 { x.append(Float(step) * 0.00025) }
    for exponent in -120 ... -3 { x.append(exp2(Float(exponent))) }
    for kernels in Kernels.available {
      var gelu = x
      kernels.table.gelu?(&gelu, x.count)
      var capped = x
      kernels.table.soft_cap?(&capped, 1, x.count)
      var capped50 = x.map { 20 * $0 }
      kernels.table.soft_cap?(&capped50, 50, x.count)
      var worst = (gelu: 0.0, cap: 0.0)
      for (i, value) in x.enumerated() {
        let v = Double(value)
        worst.gelu = max(worst.gelu, abs(Double(gelu[i]) - 0.5 * v * erfc(-v / 2.0.squareRoot())))
        if v == 0 { continue }
        worst.cap = max(worst.cap, abs(Double(capped[i]) / tanh(v) - 1))
        let exact = 50 * tanh(Double(20 * value) / 50)
        worst.cap = max(worst.cap, abs(Double(capped50[i]) / exact - 1))
      }
      #expect(worst.gelu <= 5e-7, "\(kernels.name)")
      #expect(worst.cap <= 4e-7, "\(kernels.name)")
    }
  }

  @Test("activations at their ends: infinities, NaNs and zeros")
  func activationEnds() {
    for kernels in Kernels.available {
      let ends: [Float] = [-.infinity, -1e30, -14, -0.0, 0, 14, 1e30, .infinity, .nan]
      func applied(_ operation: (inout [Float]) -> Void) -> [Float] {
        var x = ends
        operation(&x)
        return x
      }
      let gelu = applied { kernels.table.gelu?(&$0, $0.count) }
      #expect(gelu.dropLast() == [0, 0, 0, 0, 0, 14, 1e30, .infinity], "\(kernels.name)")
      let relu = applied { kernels.table.relu?(&$0, $0.count) }
      #expect(relu.dropLast() == [0, 0, 0, 0, 0, 14, 1e30, .infinity], "\(kernels.name)")
      #expect(relu[3].sign == .minus, "\(kernels.name)")
      let capped = applied { kernels.table.soft_cap?(&$0, 0.5, $0.count) }
      #expect(capped.dropLast() == [-0.5, -0.5, -0.5, 0, 0, 0.5, 0.5, 0.5], "\(kernels.name)")
      #expect(capped[3].sign == .minus, "\(kernels.name)")
      for last in [gelu, relu, capped].map(\.last) {
        #expect(last?.isNaN == true, "\(kernels.name)")
      }
    }
  }

  @Test("exp at its ends")
  func exponentialEnds() {
    for kernels in Kernels.available {
      var x: [Float] = [-.infinity, -88, -87.33, 0, 88.7, 88.72, 200, .infinity, .nan]
      _ = kernels.table.exponentials?(&x, 0, x.count)
      #expect(x[0] == 0 && x[1] == 0)
      #expect(x[2] > 0 && x[3] == 1)
      #expect(x[4] < x[5] && x[5].isFinite && x[6] == x[5] && x[7] == x[5])
      #expect(x[8].isNaN, "\(kernels.name)")
    }
  }

  @Test("halves: every bit pattern survives, and ties round to even")
  func halves() {
    for bits in UInt16.min...UInt16.max {
      let value = Half.value(bits)
      if value.isNaN { continue }
      #expect(Half.bits(value) == bits)
    }
    #expect(Half.bits(65_519) == 0x7BFF)
    #expect(Half.bits(65_520) == 0x7C00)
    #expect(Half.bits(1 + 0x1p-11) == 0x3C00)
    #expect(Half.bits(1 + 3 * 0x1p-11) == 0x3C02)
    #expect(Half.bits(0x1p-25) == 0)
    #expect(Half.bits(0x1.8p-25) == 1)
    #expect(Half.value(Half.bits(.nan)).isNaN)
  }
}
