/// e^x in double precision, the same bits on every platform.
///
/// The C library's `exp` differs in its last bit between systems, which is enough to draw another
/// token now and then; so sampling and evaluation use this one.
///
/// Method: x = n · ln 2 + r with |r| ≤ 0.3466, and e^r by its Taylor series to r¹³, whose remainder
/// is below 0.3466¹⁴ / 14! · 1.5 < 7·10⁻¹⁸. With the rounding of Horner's scheme the relative error
/// stays below 4·10⁻¹⁶. The loop has no branch and no call, so that the compiler makes it a vector
/// loop.
package enum UnsafeExponential {
  /// output[i] = e^((input[i] − maximum) · scale), for exponents that are 0 or less; 0 for those
  /// below −700, and for −infinity. `output` has room for `input.count` numbers.
  package static func exponentials(
    _ input: UnsafeBufferPointer<Float>, minus maximum: Float, scale: Double,
    into output: UnsafeMutablePointer<Double>
  ) {
    guard let values = input.baseAddress else { return }
    let offset = Double(maximum)
    for i in 0..<input.count {
      output[i] = exponential((Double(values[i]) - offset) * scale)
    }
  }

  /// e^x for x ≤ 0.
  @inline(__always)
  package static func exponential(_ x: Double) -> Double {
    let low = -700.0
    let t = x < low ? low : x
    // Adding 1.5 · 2⁵² leaves the nearest integer in the low bits of the sum.
    let magic = 0x1.8p52
    let shifted = t * 1.4426950408889634 + magic
    let n = shifted - magic
    // ln 2 in two parts; the first has 33 bits, so that n · part is exact (|n| ≤ 1010).
    let r = (t - n * 0x1.62e42feep-1) - n * 0x1.a39ef35793c76p-33
    var p = 1.0 / 6_227_020_800
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
    // 2ⁿ is a normal number: n ≥ −1010.
    let power = Double(bitPattern: (shifted.bitPattern &+ 1023) << 52)
    return x < low ? 0 : p * power
  }
}
