import Ember
import EmberKernels
import Testing

@Suite("Arithmetic peaks")
struct ArithmeticPeakTests {
  @Test("Every instruction set has loops that say what they are, and do all their rounds")
  func loops() {
    for kernels in Kernels.available {
      let int8 = ArithmeticPeak(.int8, of: kernels)
      let f32 = ArithmeticPeak(.f32, of: kernels)
      #expect(!int8.instructions.isEmpty && !f32.instructions.isEmpty)
      // Sums of 3 · −2: exact, and as many as there were rounds.
      #expect(int8.sum(rounds: 0) == 0 && int8.sum(rounds: 1) < 0, "\(kernels.name)")
      #expect(int8.sum(rounds: 1000) == 1000 * int8.sum(rounds: 1), "\(kernels.name)")
      // Each product is 2e-6, added to 1.
      let (none, many) = (f32.sum(rounds: 0), f32.sum(rounds: 10_000))
      #expect(many > 1.01 * none && many < 1.03 * none, "\(kernels.name)")
    }
  }

  @Test("A rate comes out on any number of threads", arguments: [1, 2, 3])
  func rates(threads: Int) {
    #expect(ArithmeticPeak(.int8, of: .best).measure(threads: threads) > 0)
    #expect(ArithmeticPeak(.f32, of: .scalar).measure(threads: threads) > 0)
  }

  @Test("Tables without an instruction set of their own take the machine's best")
  func fallback() {
    for kind in [ArithmeticPeak.Kind.int8, .f32] {
      #expect(
        ArithmeticPeak(kind, of: .scalar).instructions
          == ArithmeticPeak(kind, of: .portable).instructions)
    }
  }
}
