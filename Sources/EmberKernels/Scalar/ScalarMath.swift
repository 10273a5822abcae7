/// The vector kernels' mathematics, one lane at a time, in the same order of operations.
enum ScalarMath {
  /// a · b + c, rounded once.
  static func fma(_ a: Float, _ b: Float, _ c: Float) -> Float { c.addingProduct(a, b) }

  /// Lane i with lane i + 8, then + 4, + 2, + 1.
  static func fold(_ lanes: [Float]) -> Float {
    var lanes = lanes
    var half = 8
    while half > 0 {
      for i in 0..<half { lanes[i] += lanes[i + half] }
      half /= 2
    }
    return lanes[0]
  }

  /// e^x as the vector kernels compute it (Cephes' expf); see `exp16` in CKernels/vectors.h.
  static func exponential(_ input: Float) -> Float {
    if input.isNaN { return input }
    let low: Float = -87.33654
    if input < low { return 0 }
    let x = min(input, 88.72)
    let round: Float = 12_582_912
    let n = fma(x, 1.44269504088896341, round) - round
    var r = fma(n, -0.693359375, x)
    r = fma(n, 2.12194440e-4, r)
    var p: Float = 1.9875691500e-4
    p = fma(p, r, 1.3981999507e-3)
    p = fma(p, r, 8.3334519073e-3)
    p = fma(p, r, 4.1665795894e-2)
    p = fma(p, r, 1.6666665459e-1)
    p = fma(p, r, 5.0000001201e-1)
    p = fma(p, r * r, r + 1)
    let whole = Int32(n)
    let half = whole >> 1
    return p * Float(bitPattern: UInt32(half + 127) << 23)
      * Float(bitPattern: UInt32(whole - half + 127) << 23)
  }

  /// tanh x; see `tanh16` in CKernels/vectors.h.
  static func tanh(_ x: Float) -> Float {
    let size = abs(x)
    if !(size < 0.625) {
      let large = 1 - 2 / (exponential(size + size) + 1)
      return x < 0 ? -large : large
    }
    let square = size * size
    var p: Float = -5.70498872745e-3
    p = fma(p, square, 2.06390887954e-2)
    p = fma(p, square, -5.37397155531e-2)
    p = fma(p, square, 1.33314422036e-1)
    p = fma(p, square, -3.33332819422e-1)
    let small = fma(p * square, size, size)
    return x.sign == .minus ? -small : small
  }

  /// x · Φ(x); see `gelu16` in CKernels/vectors.h.
  static func gelu(_ x: Float) -> Float {
    let size = abs(x) > 14 ? 14 : abs(x)
    let t = 1 / fma(size, 0.23164189, 1)
    var p: Float = 1.061405429
    p = fma(p, t, -1.453152027)
    p = fma(p, t, 1.421413741)
    p = fma(p, t, -0.284496736)
    p = fma(p, t, 0.254829592)
    let tail = p * t * exponential(size * -0.5 * size)
    return (x > 0 ? x : 0) - size * 0.5 * tail
  }
}
