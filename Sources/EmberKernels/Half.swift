/// IEEE half-precision numbers as their bits: Swift's Float16 does not exist on x86-64 macOS.
public enum Half {
  /// The value of a half.
  @inlinable
  public static func value(_ bits: UInt16) -> Float {
    let sign = UInt32(bits & 0x8000) << 16
    let exponent = UInt32(bits >> 10) & 31
    let fraction = UInt32(bits & 1023)
    if exponent == 31 { return Float(bitPattern: sign | 0x7F80_0000 | fraction << 13) }
    if exponent == 0 {
      let size = Float(fraction) * 0x1p-24
      return sign == 0 ? size : -size
    }
    return Float(bitPattern: sign | (exponent + 112) << 23 | fraction << 13)
  }

  /// The nearest half, ties to even; infinity above 65,519.
  @inlinable
  public static func bits(_ value: Float) -> UInt16 {
    let bits = value.bitPattern
    let sign = UInt16(truncatingIfNeeded: bits >> 16) & 0x8000
    let size = bits & 0x7FFF_FFFF
    if size > 0x7F80_0000 { return sign | 0x7E00 }
    if size >= 0x4780_0000 { return sign | 0x7C00 }
    if size < 0x3880_0000 {
      // Below 2^-14: adding 0.5 rounds to a multiple of 2^-24, the step of subnormal halves.
      let rounded = Float(bitPattern: size) + 0.5
      return sign | UInt16(truncatingIfNeeded: rounded.bitPattern &- 0x3F00_0000)
    }
    let odd = (size >> 13) & 1
    return sign | UInt16(truncatingIfNeeded: (size &- 0x3800_0000 &+ 0xFFF &+ odd) >> 13)
  }
}
