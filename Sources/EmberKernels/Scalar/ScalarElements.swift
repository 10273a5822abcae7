import CKernels

/// Norms, activations and reductions, one element at a time.
enum ScalarElements {
  /// Σ f(i) in sixteen partial sums, lane i mod 16, then folded in halves.
  private static func lanewiseSum(_ n: Int, _ add: (Int, Float) -> Float) -> Float {
    var lanes = [Float](repeating: 0, count: 16)
    for i in 0..<n { lanes[i % 16] = add(i, lanes[i % 16]) }
    return ScalarMath.fold(lanes)
  }

  static func rmsNorm(
    _ x: UnsafePointer<Float>, _ gain: UnsafePointer<Float>, _ epsilon: Float, _ n: Int,
    _ out: UnsafeMutablePointer<Float>
  ) {
    let squares = lanewiseSum(n) { ScalarMath.fma(x[$0], x[$0], $1) }
    let factor = 1 / (squares / Float(n) + epsilon).squareRoot()
    for i in 0..<n { out[i] = x[i] * factor * gain[i] }
  }

  static func layerNorm(
    _ x: UnsafePointer<Float>, _ gain: UnsafePointer<Float>, _ bias: UnsafePointer<Float>?,
    _ epsilon: Float, _ n: Int, _ out: UnsafeMutablePointer<Float>
  ) {
    let mean = lanewiseSum(n) { $1 + x[$0] } / Float(n)
    let squares = lanewiseSum(n) { ScalarMath.fma(x[$0] - mean, x[$0] - mean, $1) }
    let factor = 1 / (squares / Float(n) + epsilon).squareRoot()
    for i in 0..<n {
      let scaled = (x[i] - mean) * factor * gain[i]
      out[i] = bias.map { scaled + $0[i] } ?? scaled
    }
  }

  static func silu(_ x: UnsafeMutablePointer<Float>, _ n: Int) {
    for i in 0..<n { x[i] = x[i] / (1 + ScalarMath.exponential(-x[i])) }
  }

  static func geluTanh(_ x: UnsafeMutablePointer<Float>, _ n: Int) {
    for i in 0..<n {
      let v = x[i]
      let u = ScalarMath.fma(0.044715 * v * v, v, v)
      x[i] = v / (1 + ScalarMath.exponential(-1.5957691216 * u))
    }
  }

  static func gelu(_ x: UnsafeMutablePointer<Float>, _ n: Int) {
    for i in 0..<n { x[i] = ScalarMath.gelu(x[i]) }
  }

  static func relu(_ x: UnsafeMutablePointer<Float>, _ n: Int) {
    for i in 0..<n where x[i] < 0 { x[i] = 0 }
  }

  static func softCap(_ x: UnsafeMutablePointer<Float>, _ cap: Float, _ n: Int) {
    for i in 0..<n { x[i] = cap * ScalarMath.tanh(x[i] / cap) }
  }

  static func rotate(
    _ x: UnsafeMutablePointer<Float>, by turn: UnsafePointer<Float>, pairs: Int, halves: Bool
  ) {
    let (step, offset) = halves ? (1, pairs) : (2, 1)
    for i in 0..<pairs {
      let a = x[step * i]
      let b = x[step * i + offset]
      x[step * i] = a * turn[i] - b * turn[pairs + i]
      x[step * i + offset] = a * turn[pairs + i] + b * turn[i]
    }
  }

  static func exponentials(_ x: UnsafeMutablePointer<Float>, _ maximum: Float, _ n: Int) -> Float {
    for i in 0..<n { x[i] = ScalarMath.exponential(x[i] - maximum) }
    return lanewiseSum(n) { $1 + x[$0] }
  }

  static func maximum(_ x: UnsafePointer<Float>, _ n: Int) -> Float {
    var best = -Float.infinity
    for i in 0..<n where x[i] > best { best = x[i] }
    return best
  }
}
