import CKernels

/// Weight encoding, one weight at a time.
enum ScalarEncode {
  static func encode(
    _ weights: UnsafePointer<Float>, _ importance: UnsafePointer<Float>, _ grid: ember_grid,
    _ codes: UnsafeMutablePointer<Int8>, _ scale: UnsafeMutablePointer<UInt16>,
    _ error: UnsafeMutablePointer<Float>
  ) {
    codes.update(repeating: 0, count: 32)
    scale.pointee = 0
    error.pointee = 0
    let w = (0..<32).map { weights[$0] }
    let h = (0..<32).map { importance[$0] }
    let top = w.max() ?? 0
    let bottom = w.min() ?? 0
    let extreme = top >= -bottom ? top : bottom
    if extreme == 0 { return }
    /// Σ over both halves of the block, lane by lane, then folded.
    func sum(_ term: (Int, Float?) -> Float) -> Float {
      ScalarMath.fold((0..<16).map { term($0 + 16, term($0, nil)) })
    }
    var bestGain: Float = -1
    var bestScale: Float = 0
    for i in 0..<grid.factor_count {
      for sign in grid.both_signs != 0 ? [1, -1] : [1] as [Float] {
        let inverse = sign * grid.factors[i] * grid.lowest / extreme
        let q = w.map { nearest($0 * inverse, grid) }
        let product = sum { k, low in
          low.map { ScalarMath.fma(h[k] * w[k], q[k], $0) } ?? h[k] * w[k] * q[k]
        }
        let square = sum { k, low in
          low.map { ScalarMath.fma(h[k] * q[k], q[k], $0) } ?? h[k] * q[k] * q[k]
        }
        let gain = square > 0 ? product * product / square : 0
        if gain > bestGain {
          bestGain = gain
          bestScale = square > 0 ? product / square : 0
        }
      }
    }
    scale.pointee = Half.bits(min(max(bestScale, -65504), 65504))
    let rounded = Half.value(scale.pointee)
    let q =
      rounded == 0 ? [Float](repeating: 0, count: 32) : w.map { nearest($0 * (1 / rounded), grid) }
    for k in 0..<32 { codes[k] = Int8(q[k]) }
    let lost = (0..<32).map { ScalarMath.fma(-q[$0], rounded, w[$0]) }
    error.pointee = sum { k, low in
      low.map { ScalarMath.fma(h[k] * lost[k], lost[k], $0) } ?? h[k] * lost[k] * lost[k]
    }
  }

  private static func nearest(_ value: Float, _ grid: ember_grid) -> Float {
    min(max(value, grid.lowest), grid.highest).rounded(.toNearestOrEven)
  }
}
