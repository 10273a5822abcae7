import CKernels

/// Encoding in groups of 16 weights, one weight at a time.
enum ScalarGroups {
  static func scale(
    _ weights: UnsafePointer<Float>, _ importance: UnsafePointer<Float>, _ levels: ember_levels
  ) -> Float {
    let w = (0..<16).map { weights[$0] }
    let h = (0..<16).map { importance[$0] }
    let top = w.max() ?? 0
    let bottom = w.min() ?? 0
    let extreme = top >= -bottom ? top : bottom
    if abs(extreme) < 1e-30 { return 0 }
    var (bestGain, bestScale): (Float, Float) = (-1, 0)
    for i in 0..<levels.factor_count {
      for end in [levels.lowest, levels.highest] {
        let inverse = levels.factors[i] * end / extreme
        let q = w.map { nearest($0 * inverse, levels) }
        let product = ScalarMath.fold((0..<16).map { h[$0] * w[$0] * q[$0] })
        let square = ScalarMath.fold((0..<16).map { h[$0] * q[$0] * q[$0] })
        let gain = square > 0 ? product * product / square : 0
        if gain > bestGain {
          (bestGain, bestScale) = (gain, square > 0 ? product / square : 0)
        }
      }
    }
    return bestScale
  }

  /// Chooses the codes at a scale; returns Σ importance · error².
  static func round(
    _ weights: UnsafePointer<Float>, _ importance: UnsafePointer<Float>, _ levels: ember_levels,
    scale: Float, _ codes: UnsafeMutablePointer<UInt8>
  ) -> Float {
    let inverse = abs(scale) < 1e-30 ? 0 : 1 / scale
    let q = (0..<16).map { nearest(weights[$0] * inverse, levels) }
    for i in 0..<16 { codes[i] = code(q[i], levels) }
    let lost = (0..<16).map { ScalarMath.fma(-q[$0], scale, weights[$0]) }
    return ScalarMath.fold((0..<16).map { importance[$0] * lost[$0] * lost[$0] })
  }

  private static func nearest(_ value: Float, _ levels: ember_levels) -> Float {
    guard let values = levels.values, let middles = levels.middles else {
      return min(max(value, levels.lowest), levels.highest).rounded(.toNearestOrEven)
    }
    var level = values[0]
    for i in 0..<15 where value > middles[i] { level = values[i + 1] }
    return level
  }

  private static func code(_ level: Float, _ levels: ember_levels) -> UInt8 {
    guard let middles = levels.middles else { return UInt8(level - levels.lowest) }
    return UInt8((0..<15).count { level > middles[$0] })
  }
}
