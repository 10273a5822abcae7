/// Fixed-width little-endian fields in a byte array; every access is bounds-checked.
extension [UInt8] {
  package func littleEndian<T: FixedWidthInteger & UnsignedInteger>(_: T.Type, at offset: Int) -> T
  {
    var value: T = 0
    for index in 0..<(T.bitWidth / 8) {
      value |= T(self[offset + index]) &<< T(8 * index)
    }
    return value
  }

  package mutating func store<T: FixedWidthInteger & UnsignedInteger>(
    littleEndian value: T, at offset: Int
  ) {
    for index in 0..<(T.bitWidth / 8) {
      self[offset + index] = UInt8(truncatingIfNeeded: value &>> T(8 * index))
    }
  }
}

/// The next multiple of `alignment`, or nil on overflow.
package func alignedUp(_ value: Int, to alignment: Int) -> Int? {
  let remainder = value % alignment
  guard remainder != 0 else { return value }
  let (result, overflow) = value.addingReportingOverflow(alignment - remainder)
  return overflow ? nil : result
}
