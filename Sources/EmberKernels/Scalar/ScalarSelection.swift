import CKernels

/// Selection among logits, one token at a time.
package enum ScalarSelection {
  /// Counters that `count_keys` adds to.
  package static let binCount = 4 * Int(EMBER_SELECTION_BINS)

  /// Larger for larger logits; the same for zeros of either sign.
  package static func key(_ logit: Float) -> UInt32 {
    // Adding 0 makes −0 a 0.
    let bits = Int32(bitPattern: (logit + 0).bitPattern)
    return UInt32(bitPattern: bits ^ (bits >> 31 | .min))
  }

  /// A weight of 0 ... 1 in units of 2⁻³⁶, to the nearest: integers, whose sums do not depend on
  /// their order. Over 150,000 tokens the rounding comes to 10⁻⁶ of the largest weight at most.
  package static func units(_ weight: Float) -> UInt64 {
    // From 2¹⁶ to 2¹⁷ the last bit of a double is 2⁻³⁶, so the sum's bits count units.
    let start = 0x1p16
    return (Double(weight) + start).bitPattern &- start.bitPattern
  }

  static func extremes(_ x: UnsafePointer<Float>, _ n: Int) -> (Float, Float, allBelow: Bool) {
    var (lowest, highest, allBelow) = (Float.infinity, -Float.infinity, true)
    for i in 0..<n {
      if !(x[i] < .infinity) { allBelow = false }
      if x[i] < lowest { lowest = x[i] }
      if x[i] > highest { highest = x[i] }
    }
    return (lowest, highest, allBelow)
  }

  static func select(
    _ x: UnsafePointer<Float>, _ ids: UnsafePointer<Int32>?, first: Int32, _ n: Int,
    lowest: UInt32, highest: UInt32, _ keptIDs: UnsafeMutablePointer<Int32>,
    _ kept: UnsafeMutablePointer<Float>
  ) -> Int {
    var count = 0
    for i in 0..<n where key(x[i]) &- lowest <= highest &- lowest {
      // `count` is never behind i: the inputs may be overwritten.
      (kept[count], keptIDs[count]) = (x[i], ids?[i] ?? first &+ Int32(truncatingIfNeeded: i))
      count += 1
    }
    return count
  }

  static func count(
    _ x: UnsafePointer<Float>, _ weights: UnsafePointer<Float>?, _ n: Int, lowest: UInt32,
    shift: UInt32, _ bins: UnsafeMutablePointer<UInt64>
  ) {
    for i in 0..<n {
      let digit = Int((key(x[i]) &- lowest) &>> shift) % Int(EMBER_SELECTION_BINS)
      bins[4 * digit + i % 4] &+= weights.map { units($0[i]) } ?? 1
    }
  }
}
