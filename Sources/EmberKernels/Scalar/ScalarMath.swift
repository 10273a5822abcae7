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
}
