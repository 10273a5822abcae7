import CKernels
import EmberKernels

/// Writes blocks of up to 32 numbers as codes with a half as scale, x ≈ scale · code.
///
/// What is not finite, or too large for a half's scale, gives a scale that is not finite: it must not
/// disappear, and is reported where the logits are read.
package enum CacheCodes {
  /// Hands out codes of −127 ... 127 and returns their scale: the largest value has the largest code.
  @inline(__always)
  package static func eightBits(
    _ x: UnsafePointer<Float>, _ count: Int, _ store: (Int, Int8) -> Void
  ) -> UInt16 {
    let largest = largest(x, count)
    let scale = Half.bits(largest / 127)
    let rounded = Half.value(scale)
    let inverse = rounded > 0 ? 1 / rounded : 0
    for i in 0..<count {
      // The scale is rounded, so that the largest may come to lie beyond 127. Adding 1.5 · 2^23
      // rounds to the nearest integer, ties to even.
      let code = largest.isFinite ? min(max(x[i] * inverse, -127), 127) : 0
      store(i, Int8((code + 12_582_912) - 12_582_912))
    }
    return scale
  }

  /// Writes codes of −8 ... 7, each + 8, two to a byte: those of the first sixteen numbers in the
  /// lower halves of the bytes, those of the others in the upper. Returns their scale: of some that
  /// are tried, the one with the smallest sum of squared errors.
  ///
  /// - Parameter store: gets the place of a byte in the block, 0 ..< 16, and the byte.
  @inline(__always)
  package static func fourBits(
    _ x: UnsafePointer<Float>, _ count: Int, _ kernels: Kernels, _ store: (Int, UInt8) -> Void
  ) -> UInt16 {
    let largest = largest(x, count)
    // Scales are at most largest / 5.
    guard largest / 8 < 65504 else {
      for i in 0..<16 { store(i, 0x88) }
      return Half.bits(largest.isFinite ? .infinity : .nan)
    }
    // On the stack: with a larger alignment it would be on the heap.
    return withUnsafeTemporaryAllocation(byteCount: 72 * 4 + 32, alignment: 16) { memory in
      guard let start = memory.baseAddress else { return 0 }
      // 32 numbers, their importance, eight factors; then 32 codes.
      let floats = start.assumingMemoryBound(to: Float.self)
      let codes = (start + 72 * 4).assumingMemoryBound(to: Int8.self)
      start.storeBytes(of: SIMD32<Float>(repeating: 0), as: SIMD32<Float>.self)
      floats.update(from: x, count: count)
      (start + 32 * 4).storeBytes(of: SIMD32<Float>(repeating: 1), as: SIMD32<Float>.self)
      (start + 64 * 4).storeBytes(of: scaleFactors, as: SIMD8<Float>.self)
      var grid = ember_grid(
        lowest: -8, highest: 7, factors: floats + 64, factor_count: 8, both_signs: 1)
      var scale: UInt16 = 0
      var error: Float = 0
      kernels.table.encode(floats, floats + 32, 1, &grid, codes, &scale, &error)
      for i in 0..<16 { store(i, UInt8(codes[i] + 8) | UInt8(codes[16 + i] + 8) << 4) }
      return scale
    }
  }

  /// Multiples of the inverse scale that takes the extreme to −8.
  private static var scaleFactors: SIMD8<Float> {
    SIMD8(1, 0.9375, 0.875, 1.0625, 1.125, 1.1875, 1.25, 1.3125)
  }

  /// Of the sizes; NaN where any is not a number.
  @inline(__always)
  private static func largest(_ x: UnsafePointer<Float>, _ count: Int) -> Float {
    var largest: Float = 0
    var isFinite = true
    for i in 0..<count {
      largest = max(largest, abs(x[i]))
      isFinite = isFinite && x[i].isFinite
    }
    return isFinite ? largest : .nan
  }
}
