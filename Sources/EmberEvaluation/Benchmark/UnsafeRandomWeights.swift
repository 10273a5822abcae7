import EmberFormat
import EmberGeneration
import EmberKernels

/// Bytes that are weights: of any block type, or row groups of one layout.
enum RandomWeights {
  /// Fills with bytes that are valid as every block type.
  ///
  /// Read as halves, all are between 2⁻⁸ and 2⁻⁵ in size, read as floats between 2⁻⁷¹ and 2⁻⁴⁷:
  /// neither a scale nor a weight is subnormal, and no product overflows.
  ///
  /// - Parameter bytes: 8-byte aligned; bytes behind the last whole 8 stay as they are.
  static func fill(_ bytes: UnsafeMutableRawBufferPointer) {
    var random = SplitMix64(seed: 1)
    // The same megabyte again and again: the processor's caches hold addresses, not contents.
    let pool = (0..<1 << 17).map { _ in
      let noise = random.next()
      return (0..<4).reduce(UInt64(0)) { word, lane in
        let bits = UInt16(truncatingIfNeeded: noise >> UInt64(16 * lane))
        // Sign and fraction as they come, exponents 7 to 9: 2⁻⁸ to 2⁻⁶ times 1 to 2.
        let half = bits & 0x83FF | (7 + (bits >> 10 & 31) % 3) << 10
        return word | UInt64(half) << UInt64(16 * lane)
      }
    }
    pool.withUnsafeBytes { pool in
      for offset in stride(from: 0, to: bytes.count, by: pool.count) {
        let count = min(pool.count, bytes.count - offset)
        // In bounds on both sides: count is at most what either has from there on.
        UnsafeMutableRawBufferPointer(rebasing: bytes[offset..<offset + count])
          .copyMemory(from: UnsafeRawBufferPointer(rebasing: pool[..<count]))
      }
    }
  }

  /// Row groups of one layout, one after another, as a model file holds them: random codes, scales
  /// around 0.02 / 8, and outliers of up to ten times the largest weight, whose codes are next to zero.
  ///
  /// - Parameters:
  ///   - layout: of any type but f32, with rows and columns that need no padding.
  ///   - count: row groups to make.
  static func rowGroups(
    of layout: TensorLayout, count: Int, random: inout SplitMix64
  ) -> [UInt8] {
    let stride = layout.rowGroupStride
    var bytes = [UInt8](repeating: 0, count: count * stride)
    bytes.withUnsafeMutableBytes { bytes in
      for group in 0..<count {
        // In bounds: a row group is `stride` bytes, of which its tiles and steps are a part.
        let base = UnsafeMutableRawBufferPointer(
          rebasing: bytes[group * stride..<(group + 1) * stride])
        for row in 0..<layout.type.rowScaleBytes / 4 {
          let value = Float(random.nextUnit() + 0.5) * scale(layout.type) / 127
          base.storeBytes(of: value, toByteOffset: 4 * row, as: Float.self)
        }
        for tile in 0..<layout.columnTiles {
          let first = layout.tileOffset(rowGroup: 0, columnTile: tile)
          fillTile(
            UnsafeMutableRawBufferPointer(rebasing: base[first..<first + layout.type.tileBytes]),
            layout.type, &random)
        }
        placeOutliers(in: base, layout, &random)
      }
    }
    return bytes
  }

  private static func fillTile(
    _ tile: UnsafeMutableRawBufferPointer, _ type: BlockType, _ random: inout SplitMix64
  ) {
    for offset in stride(from: 0, to: tile.count, by: 8) {
      tile.storeBytes(of: random.next(), toByteOffset: offset, as: UInt64.self)
    }
    if type.isGrouped {
      // Four groups of 16 scales each: 64 to 127.
      for i in 0..<64 { tile[i] = 64 | tile[i] & 63 }
      return
    }
    // Two blocks of 16 scales each; f16 has weights alone.
    let halves = type == .f16 ? tile.count / 2 : 32
    for i in 0..<halves {
      let unit = Float(random.nextUnit())
      let value = type == .f16 ? (unit - 0.5) * 0.08 : (unit + 0.5) * scale(type)
      tile.storeBytes(of: Half.bits(value), toByteOffset: 2 * i, as: UInt16.self)
    }
  }

  /// Weights reach ±0.02 or so in every type.
  private static func scale(_ type: BlockType) -> Float {
    switch type {
    case .q8: 0.02 / 128
    case .q4n, .q6: 0.02 / 32
    case .q5: 0.02 / 16
    case .f32, .f16, .q4: 0.02 / 8
    }
  }

  /// The steps of one row group. Each lane's columns ascend: one from each of as many equal ranges
  /// of columns as there are steps.
  private static func placeOutliers(
    in group: UnsafeMutableRawBufferPointer, _ layout: TensorLayout, _ random: inout SplitMix64
  ) {
    for step in 0..<layout.outlierSteps {
      let start = layout.columns * step / layout.outlierSteps
      let range = start..<layout.columns * (step + 1) / layout.outlierSteps
      let base = layout.outlierOffset(rowGroup: 0) + TensorLayout.outlierStepBytes * step
      for lane in 0..<16 {
        let column = range.lowerBound + Int(random.next() % UInt64(range.count))
        let sign: Float = random.next() & 1 == 0 ? 1 : -1
        let value = sign * Float(0.02 + 0.18 * random.nextUnit())
        group.storeBytes(
          of: UInt16(column), toByteOffset: base + 2 * lane, as: UInt16.self)
        group.storeBytes(of: Half.bits(value), toByteOffset: base + 32 + 2 * lane, as: UInt16.self)
        clearCode(in: group, layout, column: column, lane: lane)
      }
    }
  }

  /// Makes the code at an outlier's place that of zero, or of a level next to it.
  private static func clearCode(
    in group: UnsafeMutableRawBufferPointer, _ layout: TensorLayout, column: Int, lane: Int
  ) {
    let tile = layout.tileOffset(rowGroup: 0, columnTile: column / 64)
    let (block, inner) = (column % 64 / 32, column % 32)
    if layout.type == .q8 {
      group[tile + 64 + 512 * block + 64 * (inner / 4) + 4 * lane + inner % 4] = 128
    } else {
      let at = tile + 64 + 256 * block + 64 * (inner % 16 / 4) + 4 * lane + inner % 4
      group[at] = inner < 16 ? group[at] & 0xF0 | 8 : group[at] & 0x0F | 8 << 4
    }
  }
}
