/// e^x in double precision, the same bits on every platform.
///
/// The C library's `exp` differs in its last bit between systems, and the kernels' one is a float:
/// too coarse for a divergence that must be exactly 0 between equal models.
///
/// Method: x = n · ln 2 + r with |r| ≤ 0.3466, and e^r by its Taylor series to r¹³, whose remainder
/// is below 0.3466¹⁴ / 14! · 1.5 < 7·10⁻¹⁸. With the rounding of Horner's scheme the relative error
/// stays below 5·10⁻¹⁶. There is no branch, so that four run in the lanes of a vector.
package enum UnsafeExponential {
  /// output[i] = e^((input[i] − maximum) · scale), for exponents that are 0 or less; 0 for those
  /// below −700, and for −infinity. `output` has room for `input.count` numbers.
  package static func exponentials(
    _ input: UnsafeBufferPointer<Float>, minus maximum: Float, scale: Double,
    into output: UnsafeMutablePointer<Double>
  ) {
    guard let values = input.baseAddress else { return }
    let offset = SIMD4(repeating: Double(maximum))
    let scales = SIMD4(repeating: scale)
    let whole = input.count / 4 * 4
    func write(_ lanes: SIMD4<Double>, _ count: Int, at start: Int) {
      for lane in 0..<count { output[start + lane] = lanes[lane] }
    }
    for start in stride(from: 0, to: whole, by: 4) {
      let x = SIMD4(
        Double(values[start]), Double(values[start + 1]), Double(values[start + 2]),
        Double(values[start + 3]))
      write(exponential((x - offset) * scales), 4, at: start)
    }
    if whole < input.count {
      var x = offset
      for i in whole..<input.count { x[i - whole] = Double(values[i]) }
      write(exponential((x - offset) * scales), input.count - whole, at: whole)
    }
  }

  /// e^x for x ≤ 0.
  package static func exponential(_ x: Double) -> Double {
    exponential(SIMD4(repeating: x))[0]
  }

  @inline(__always)
  private static func exponential(_ x: SIMD4<Double>) -> SIMD4<Double> {
    let low = SIMD4(repeating: -700.0)
    let isLow = x .< low
    let t = x.replacing(with: low, where: isLow)
    // Adding 1.5 · 2⁵² leaves the nearest integer in the low bits of the sum.
    let magic = SIMD4(repeating: 0x1.8p52)
    let shifted = t * 1.4426950408889634 + magic
    let n = shifted - magic
    // ln 2 in two parts; the first has 33 bits, so that n · part is exact (|n| ≤ 1010).
    let r = (t - n * 0x1.62e42feep-1) - n * 0x1.a39ef35793c76p-33
    var p = SIMD4(repeating: 1.0 / 6_227_020_800)
    p = p * r + 1.0 / 479_001_600
    p = p * r + 1.0 / 39_916_800
    p = p * r + 1.0 / 3_628_800
    p = p * r + 1.0 / 362_880
    p = p * r + 1.0 / 40_320
    p = p * r + 1.0 / 5_040
    p = p * r + 1.0 / 720
    p = p * r + 1.0 / 120
    p = p * r + 1.0 / 24
    p = p * r + 1.0 / 6
    p = p * r + 0.5
    p = p * r + 1
    p = p * r + 1
    // 2ⁿ is a normal number: n ≥ −1010. Both types are four times 64 bits.
    let bits = unsafeBitCast(shifted, to: SIMD4<UInt64>.self)
    let power = unsafeBitCast((bits &+ 1023) &<< 52, to: SIMD4<Double>.self)
    return (p * power).replacing(with: 0, where: isLow)
  }
}
