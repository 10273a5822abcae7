/// Conversions of stored elements to `Float`, on raw memory for speed.
///
/// Both run without branches, so that the compiler turns them into SIMD loops. `Float16` is not
/// used because Swift does not have it on x86-64 macOS. Files are little-endian, as is every
/// machine that Ember runs on.
enum UnsafeWeightConversion {
  /// Converts `output.count` elements from `bytes`.
  ///
  /// `bytes` holds `output.count` elements, in whole blocks, aligned to the element (every caller passes
  /// memory that it allocated itself), and does not overlap `output`.
  static func convert(
    _ bytes: UnsafeRawBufferPointer, of type: StoredType,
    into output: UnsafeMutableBufferPointer<Float>
  ) {
    let count = output.count
    guard count > 0, let source = bytes.baseAddress, let target = output.baseAddress else { return }
    precondition(bytes.count >= count / type.blockElements * type.blockBytes)
    switch type {
    case .float64:
      let values = source.assumingMemoryBound(to: Double.self)
      for index in 0..<count { target[index] = Float(values[index]) }
    case .int8:
      let values = source.assumingMemoryBound(to: Int8.self)
      for index in 0..<count { target[index] = Float(values[index]) }
    case .float32:
      let values = source.assumingMemoryBound(to: Float.self)
      target.update(from: values, count: count)
    case .float16:
      let halves = source.assumingMemoryBound(to: UInt16.self)
      for index in 0..<count { target[index] = float(half: halves[index]) }
    case .brainFloat16:
      let halves = source.assumingMemoryBound(to: UInt16.self)
      for index in 0..<count {
        target[index] = Float(bitPattern: UInt32(truncatingIfNeeded: halves[index]) << 16)
      }
    case .q8x0, .q4x0, .q4x1, .q5x0, .q5x1, .q4K, .q5K, .q6K:
      UnsafeBlockDecoding.decode(bytes, of: type, into: output)
    }
  }

  /// The value of a binary16, exact, subnormals included.
  ///
  /// Exponent and fraction, moved to their places in a binary32, are the value times 2^-112 (the
  /// biases differ by 127 − 15); one exact multiplication corrects that. Infinity and NaN keep an
  /// exponent of all ones.
  @inline(__always)
  static func float(half: UInt16) -> Float {
    let bits = UInt32(truncatingIfNeeded: half)
    let magnitude = (bits & 0x7FFF) << 13
    let scaled = Float(bitPattern: magnitude) * Float(bitPattern: 0x7780_0000)  // 2^112
    let special: UInt32 = (bits & 0x7C00) == 0x7C00 ? 0x7F80_0000 : 0
    return Float(bitPattern: scaled.bitPattern | special | ((bits & 0x8000) << 16))
  }

  /// The index of the first value that is infinite or not a number.
  static func firstNotFinite(_ values: UnsafeBufferPointer<Float>) -> Int? {
    // Without a branch in the loop; the search comes only when there is something to find.
    var found: UInt32 = 0
    for value in values {
      found |= (value.bitPattern & 0x7F80_0000) == 0x7F80_0000 ? 1 : 0
    }
    return found == 0 ? nil : values.firstIndex { !$0.isFinite }
  }
}
