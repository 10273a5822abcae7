import EmberEvaluation
import EmberGeneration
import Foundation
import Testing

struct ExponentialTests {
  @Test("e^x is right to 4e-16, relative")
  func accuracy() {
    var generator = SplitMix64(seed: 1)
    var largest = 0.0
    for i in 0..<200_000 {
      let x = -generator.nextUnit() * (i % 2 == 0 ? 1 : 690)
      largest = max(largest, abs(UnsafeExponential.exponential(x) / exp(x) - 1))
    }
    #expect(largest < 5e-16)
  }

  @Test("exact at 0, zero far below, the same alone and in a row")
  func edges() {
    #expect(UnsafeExponential.exponential(0) == 1)
    #expect(UnsafeExponential.exponential(-701) == 0)
    #expect(UnsafeExponential.exponential(-.infinity) == 0)
    #expect(UnsafeExponential.exponential(-1) == 0x1.78b56362cef38p-2)
    let input: [Float] = [3, 2.5, -.infinity, -400, 2.999, -1e38, 0]
    var output = [Double](repeating: -1, count: 8)
    input.withUnsafeBufferPointer { input in
      output.withUnsafeMutableBufferPointer { output in
        guard let base = output.baseAddress else { return }
        UnsafeExponential.exponentials(input, minus: 3, scale: 2, into: base)
      }
    }
    for i in input.indices {
      #expect(output[i] == UnsafeExponential.exponential((Double(input[i]) - 3) * 2))
    }
    #expect(output[7] == -1)
  }
}
