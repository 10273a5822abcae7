/// The values of GGUF's blocks, on raw memory for speed.
///
/// The formats are those of ggml (<https://github.com/ggml-org/llama.cpp>, `ggml-quants.c` and the
/// reference implementation in gguf-py's `quants.py`); each value is computed with the same
/// operations in the same order, in binary32, and so is the same to the last bit.
enum UnsafeBlockDecoding {
  /// Decodes whole blocks.
  ///
  /// `bytes` holds `output.count / type.blockElements` blocks and does not overlap `output`.
  static func decode(
    _ bytes: UnsafeRawBufferPointer, of type: StoredType,
    into output: UnsafeMutableBufferPointer<Float>
  ) {
    let count = output.count / type.blockElements
    precondition(bytes.count >= count * type.blockBytes)
    guard count > 0, let source = bytes.baseAddress, let target = output.baseAddress else { return }
    for index in 0..<count {
      let block = source + index * type.blockBytes
      let values = target + index * type.blockElements
      switch type {
      case .q8x0: q8x0(block, values)
      case .q4x0: q4(block, levels: block + 2, shift: -8, minimum: 0, values)
      case .q4x1: q4(block, levels: block + 4, shift: 0, minimum: half(block, 2), values)
      case .q5x0: q5(block, high: block + 2, shift: -16, minimum: 0, values)
      case .q5x1: q5(block, high: block + 4, shift: 0, minimum: half(block, 2), values)
      case .q4K: q4K(block, values)
      case .q5K: q5K(block, values)
      case .q6K: q6K(block, values)
      case .float64, .float32, .float16, .brainFloat16, .int8: return
      }
    }
  }

  @inline(__always)
  private static func half(_ block: UnsafeRawPointer, _ offset: Int) -> Float {
    UnsafeWeightConversion.float(
      half: block.loadUnaligned(fromByteOffset: offset, as: UInt16.self))
  }

  @inline(__always)
  private static func byte(_ pointer: UnsafeRawPointer, _ offset: Int) -> Int32 {
    Int32(pointer.load(fromByteOffset: offset, as: UInt8.self))
  }

  /// Scale; 32 int8.
  private static func q8x0(_ block: UnsafeRawPointer, _ values: UnsafeMutablePointer<Float>) {
    let scale = half(block, 0)
    for index in 0..<32 {
      values[index] = Float(block.load(fromByteOffset: 2 + index, as: Int8.self)) * scale
    }
  }

  /// Scale, for some a minimum; 16 bytes whose lower halves are the first 16 levels.
  @inline(__always)
  private static func q4(
    _ block: UnsafeRawPointer, levels: UnsafeRawPointer, shift: Int32, minimum: Float,
    _ values: UnsafeMutablePointer<Float>
  ) {
    let scale = half(block, 0)
    for index in 0..<16 {
      let pair = byte(levels, index)
      values[index] = value(pair & 15, shift, scale, minimum)
      values[index + 16] = value(pair >> 4, shift, scale, minimum)
    }
  }

  /// The same with a fifth bit for each level, in 32 bits before the others.
  @inline(__always)
  private static func q5(
    _ block: UnsafeRawPointer, high: UnsafeRawPointer, shift: Int32, minimum: Float,
    _ values: UnsafeMutablePointer<Float>
  ) {
    let scale = half(block, 0)
    let bits = high.loadUnaligned(as: UInt32.self)
    for index in 0..<16 {
      let pair = byte(high, 4 + index)
      let first = Int32((bits >> UInt32(index)) & 1) << 4
      let second = Int32((bits >> UInt32(index + 16)) & 1) << 4
      values[index] = value(pair & 15 | first, shift, scale, minimum)
      values[index + 16] = value(pair >> 4 | second, shift, scale, minimum)
    }
  }

  /// scale · (level + shift), and a minimum only where there is no shift: −0 stays −0.
  @inline(__always)
  private static func value(_ level: Int32, _ shift: Int32, _ scale: Float, _ minimum: Float)
    -> Float
  {
    let product = scale * Float(level + shift)
    return shift == 0 ? product + minimum : product
  }

  // MARK: Blocks of 256

  /// The small scale and minimum number `part` of eight, six bits each, packed into 12 bytes: the
  /// first four in the lower bits of bytes 0–3 and 4–7, the others' lower halves in bytes 8–11
  /// and their upper bits in what the first four leave.
  @inline(__always)
  private static func scaleAndMinimum(
    _ packed: UnsafeRawPointer, _ part: Int
  ) -> (scale: Float, minimum: Float) {
    if part < 4 { return (Float(byte(packed, part) & 63), Float(byte(packed, part + 4) & 63)) }
    let low = byte(packed, part + 4)
    return (
      Float(low & 15 | (byte(packed, part - 4) & 0xC0) >> 2),
      Float(low >> 4 | (byte(packed, part) & 0xC0) >> 2)
    )
  }

  /// Scale, scale of the minimums, 12 bytes of small scales; 128 bytes: in each 32, the lower halves
  /// are one part's levels and the upper ones the next's.
  private static func q4K(_ block: UnsafeRawPointer, _ values: UnsafeMutablePointer<Float>) {
    let scale = half(block, 0)
    let minimum = half(block, 2)
    for part in 0..<8 {
      let small = scaleAndMinimum(block + 4, part)
      let partScale = scale * small.scale
      let partMinimum = minimum * small.minimum
      let levels = block + 16 + part / 2 * 32
      let shift = Int32(part % 2 * 4)
      for index in 0..<32 {
        let level = Float((byte(levels, index) >> shift) & 15)
        values[part * 32 + index] = partScale * level - partMinimum
      }
    }
  }

  /// The same with 32 bytes of fifth bits before the levels: bit `part` of byte `index`.
  private static func q5K(_ block: UnsafeRawPointer, _ values: UnsafeMutablePointer<Float>) {
    let scale = half(block, 0)
    let minimum = half(block, 2)
    for part in 0..<8 {
      let small = scaleAndMinimum(block + 4, part)
      let partScale = scale * small.scale
      let partMinimum = minimum * small.minimum
      let levels = block + 48 + part / 2 * 32
      let shift = Int32(part % 2 * 4)
      for index in 0..<32 {
        let high = (byte(block, 16 + index) >> Int32(part) & 1) << 4
        let level = Float((byte(levels, index) >> shift) & 15 | high)
        values[part * 32 + index] = partScale * level - partMinimum
      }
    }
  }

  /// 128 bytes of lower halves, 64 of upper two bits, 16 int8 scales, the scale of those.
  private static func q6K(_ block: UnsafeRawPointer, _ values: UnsafeMutablePointer<Float>) {
    let scale = half(block, 208)
    for index in 0..<256 {
      let (part, column) = (index / 32, index % 32)
      // Two parts of 32 share 64 bytes of lower halves with the two after them.
      let low = byte(block, part / 4 * 64 + part % 2 * 32 + column) >> Int32(part % 4 / 2 * 4) & 15
      let high = byte(block, 128 + part / 4 * 32 + column) >> Int32(part % 4 * 2) & 3
      let small = Float(block.load(fromByteOffset: 192 + index / 16, as: Int8.self))
      values[index] = scale * small * Float((low | high << 4) - 32)
    }
  }
}
