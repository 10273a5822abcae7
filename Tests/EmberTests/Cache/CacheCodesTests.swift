import EmberGeneration
import EmberKernels
import EmberModel
import EmberTestSupport
import Testing

@Suite("Codes of 4 bits in the key/value cache")
struct CacheCodesTests {
  private struct Block: Equatable {
    var scale: UInt16
    var codes = [Int](repeating: 0, count: 32)

    init(_ x: [Float], _ kernels: Kernels = .best) {
      var codes = [Int](repeating: 0, count: 32)
      scale = CacheCodes.fourBits(x, x.count, kernels) { i, pair in
        codes[i] = Int(pair & 15) - 8
        codes[16 + i] = Int(pair >> 4) - 8
      }
      self.codes = codes
    }

    func error(_ x: [Float]) -> Double {
      x.indices.reduce(0.0) { sum, i in
        let difference = Double(x[i]) - Double(Half.value(scale)) * Double(codes[i])
        return sum + difference * difference
      }
    }
  }

  /// Roughly normal, mean 0, deviation 1.
  private static func normal(_ random: inout SplitMix64) -> Float {
    (0..<12).reduce(-6) { sum, _ in sum + Float(random.nextUnit()) }
  }

  /// Rounded to −7 ... 7 with the scale that the largest value has.
  private static func plainError(_ x: [Float]) -> Double {
    let scale = Half.value(Half.bits((x.map(abs).max() ?? 0) / 7))
    return x.reduce(0.0) { sum, x in
      let code = min(max((x / scale).rounded(.toNearestOrEven), -7), 7)
      return sum + Double(x - scale * code) * Double(x - scale * code)
    }
  }

  @Test("they lose a fifth less than the largest value's scale would", arguments: [32, 20, 16, 7])
  func error(count: Int) {
    var random = SplitMix64(seed: UInt64(count))
    var (searched, plain) = (0.0, 0.0)
    for _ in 0..<1000 {
      let x = (0..<count).map { _ in Self.normal(&random) }
      let block = Block(x)
      searched += block.error(x)
      plain += Self.plainError(x)
      #expect(block.codes[count...].allSatisfy { $0 == 0 })
    }
    #expect(searched < 0.8 * plain, "\(searched / plain)")
  }

  @Test("every instruction set gives the same codes")
  func kernels() {
    var random = SplitMix64(seed: 1)
    for count in [1, 15, 16, 17, 31, 32] {
      for size in [1e-9, 1, 1e4] as [Float] {
        let x = (0..<count).map { _ in Self.normal(&random) * size }
        let expected = Block(x, .scalar)
        for kernels in Kernels.available {
          #expect(Block(x, kernels) == expected, "\(kernels.name)")
        }
      }
    }
  }

  @Test("zeros stay zeros")
  func zeros() {
    let block = Block([Float](repeating: 0, count: 32))
    #expect(block.error([Float](repeating: 0, count: 32)) == 0)
    #expect(Half.value(block.scale).isFinite)
  }

  @Test(
    "what no code can say does not disappear",
    arguments: [Float.nan, .infinity, -.infinity, 1e6, -3e38])
  func notFinite(extreme: Float) {
    var x = [Float](repeating: 1, count: 32)
    x[20] = extreme
    #expect(!Half.value(Block(x).scale).isFinite)
    var eight = [Int8](repeating: 0, count: 32)
    // Eight bits reach 127 · 65504.
    x[20] = extreme * 10
    #expect(!Half.value(CacheCodes.eightBits(x, 32) { eight[$0] = $1 }).isFinite)
  }
}
