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
    var numbers = SIMD32<Float>(repeating: 0)
    for i in 0..<count { numbers[i] = x[i] }
    let largest = largest(x, count)
    var codes = SIMD32<Int8>(repeating: 0)
    var scale: UInt16 = 0
    // Scales are at most largest / 5.
    if largest / 8 < 65504 {
      encode(&numbers, &codes, &scale, kernels)
    } else {
      scale = Half.bits(largest.isFinite ? .infinity : .nan)
    }
    for i in 0..<16 {
      let (low, high) = (UInt8(codes[i] + 8), UInt8(codes[16 + i] + 8))
      store(i, low | high << 4)
    }
    return scale
  }

  private static func encode(
    _ numbers: inout SIMD32<Float>, _ codes: inout SIMD32<Int8>, _ scale: inout UInt16,
    _ kernels: Kernels
  ) {
    var error: Float = 0
    var importance = SIMD32<Float>(repeating: 1)
    var factors = scaleFactors
    withUnsafeBytes(of: &factors) { factors in
      withUnsafeBytes(of: &numbers) { numbers in
        withUnsafeBytes(of: &importance) { importance in
          withUnsafeMutableBytes(of: &codes) { codes in
            guard let numbers = numbers.baseAddress, let importance = importance.baseAddress,
              let codes = codes.baseAddress, let factors = factors.baseAddress
            else { return }
            var grid = ember_grid(
              lowest: -8, highest: 7, factors: factors.assumingMemoryBound(to: Float.self),
              factor_count: factorCount, both_signs: 1)
            kernels.table.encode(
              numbers.assumingMemoryBound(to: Float.self),
              importance.assumingMemoryBound(to: Float.self), 1, &grid,
              codes.assumingMemoryBound(to: Int8.self), &scale, &error)
          }
        }
      }
    }
  }

  /// Multiples of the inverse scale that takes the extreme to −8.
  private static let scaleFactors =
    SIMD8<Float>(1, 0.9375, 0.875, 1.0625, 1.125, 1.1875, 1.25, 1.3125)
  private static let factorCount = 8

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
