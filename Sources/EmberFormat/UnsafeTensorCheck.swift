/// Checks the bytes of one tensor for what its checksum cannot tell: that a converter wrote what
/// the specification says. Kernels compute over the padding, so it must be neutral, and take
/// outlier columns as indices; one number that is not finite spoils all that depends on it.
///
/// Looks at every scale, half or f32, at the codes of padding, and at the outliers.
struct TensorCheck {
  private let layout: TensorLayout
  private let outlierCount: Int
  private let bytes: UnsafeRawBufferPointer

  /// `bytes` are the tensor's: exactly `layout.byteCount`, so every offset below lies inside.
  init(_ record: TensorRecord, _ bytes: UnsafeRawBufferPointer) {
    layout = record.layout
    outlierCount = record.outlierCount
    self.bytes = bytes
  }

  struct Flaw {
    let expected: String
    let found: String
  }

  func firstFlaw() -> Flaw? {
    guard layout.type != .f32 else { return valueFlaw() }  // has no padding
    var used = 0
    for group in 0..<layout.rowGroups {
      if let flaw = paddingFlaw(rowGroup: group) ?? finiteFlaw(rowGroup: group)
        ?? outlierFlaw(rowGroup: group, &used)
      {
        return flaw
      }
    }
    guard used <= outlierCount else {
      return Flaw(expected: "\(outlierCount) outliers", found: "\(used)")
    }
    return nil
  }

  private func paddingFlaw(rowGroup: Int) -> Flaw? {
    let rows = min(layout.rows - 16 * rowGroup, 16)
    let lastTile = layout.columnTiles - 1
    for tile in (rows < 16 ? 0 : lastTile)...lastTile {
      let columns = min(layout.columns - 64 * tile, 64)
      guard rows < 16 || columns < 64 else { continue }
      let base = layout.tileOffset(rowGroup: rowGroup, columnTile: tile)
      for row in 0..<16 {
        for column in (row < rows ? columns : 0)..<64 where !isZero(base, row, column) {
          return Flaw(
            expected: "padding that is zero",
            found: "another value at row \(16 * rowGroup + row), column \(64 * tile + column)")
        }
        // The blocks whose first column is padding are padding as a whole.
        guard layout.type != .f16 else { continue }
        if layout.type.isGrouped {
          for group in 0..<4 where row >= rows || 16 * group >= columns {
            let scale = bytes[base + 32 * (group / 2) + 2 * row + group % 2]
            guard scale == 0 else {
              return Flaw(
                expected: "scale 0 in groups that are padding",
                found: "\(Int8(bitPattern: scale)) at row \(16 * rowGroup + row), group"
                  + " \(4 * tile + group)")
            }
          }
          continue
        }
        for block in 0..<2 where row >= rows || 32 * block >= columns {
          let scale = half(base + 32 * block + 2 * row)
          guard scale == 0 else {
            return Flaw(
              expected: "scale 0 in blocks that are padding",
              found: "\(hexadecimal(UInt32(scale))) at row \(16 * rowGroup + row), block"
                + " \(2 * tile + block)")
          }
        }
      }
    }
    return nil
  }

  /// The scales of a row group's blocks, or its halves in f16.
  private func finiteFlaw(rowGroup: Int) -> Flaw? {
    if layout.type.isGrouped { return rowScaleFlaw(rowGroup: rowGroup) }
    let isHalf = layout.type == .f16
    for tile in 0..<layout.columnTiles {
      let base = layout.tileOffset(rowGroup: rowGroup, columnTile: tile)
      // A line is 2 × 16 rows: of two blocks, or of two columns in f16.
      for line in stride(from: base, to: base + (isHalf ? layout.type.tileBytes : 64), by: 64)
      where hasNonfiniteHalf(line) {
        for offset in stride(from: line, to: line + 64, by: 2) {
          let value = half(offset)
          guard value & 0x7C00 == 0x7C00 else { continue }
          let (unit, row) = ((offset - base) / 32, 16 * rowGroup + (offset - base) % 32 / 2)
          return Flaw(
            expected: isHalf ? "finite weights" : "a finite scale",
            found: "\(value & 0x03FF == 0 ? "infinity" : "NaN") at row \(row), "
              + (isHalf ? "column \(64 * tile + unit)" : "block \(2 * tile + unit)"))
        }
      }
    }
    return nil
  }

  /// The scales of a row group's rows; those of padding are zero.
  private func rowScaleFlaw(rowGroup: Int) -> Flaw? {
    for lane in 0..<16 {
      let row = 16 * rowGroup + lane
      let scale = single(rowGroup * layout.rowGroupStride + 4 * lane)
      guard scale.isFinite else {
        return Flaw(
          expected: "a finite scale", found: "\(scale.isNaN ? "NaN" : "infinity") of row \(row)")
      }
      guard row < layout.rows || scale.bitPattern == 0 else {
        return Flaw(expected: "scale 0 in rows that are padding", found: "\(scale) of row \(row)")
      }
    }
    return nil
  }

  /// Whether one of the 32 halves from `offset` on is infinite or NaN.
  private func hasNonfiniteHalf(_ offset: Int) -> Bool {
    let exponents =
      bytes.loadUnaligned(fromByteOffset: offset, as: SIMD32<UInt16>.self)
      & SIMD32(repeating: UInt16(0x7C00).littleEndian)
    return any(exponents .== UInt16(0x7C00).littleEndian)
  }

  /// The numbers of an f32 tensor.
  private func valueFlaw() -> Flaw? {
    for index in 0..<(layout.byteCount / 4) {
      let value = single(4 * index)
      guard value.isFinite else {
        return Flaw(
          expected: "finite values",
          found: "\(value.isNaN ? "NaN" : "infinity") at row \(index / layout.columns), column"
            + " \(index % layout.columns)")
      }
    }
    return nil
  }

  /// Whether the code (not the scale) of an element of a tile is that of zero.
  private func isZero(_ base: Int, _ row: Int, _ column: Int) -> Bool {
    switch layout.type {
    case .f32: return true
    case .f16: return half(base + 32 * column + 2 * row) == 0
    case .q8:
      let (block, inner) = (column / 32, column % 32)
      return bytes[base + 64 + 512 * block + 64 * (inner / 4) + 4 * row + inner % 4] == 128
    case .q4:
      let (block, inner) = (column / 32, column % 16)
      let pair = bytes[base + 64 + 256 * block + 64 * (inner / 4) + 4 * row + inner % 4]
      return (column % 32 < 16 ? pair & 15 : pair >> 4) == 8
    case .q4n, .q5, .q6: return groupedCode(base, row, column) == 0
    }
  }

  /// The code of an element of a tile of a grouped type.
  private func groupedCode(_ base: Int, _ row: Int, _ column: Int) -> UInt8 {
    let (block, half, j, i) = (column / 32, column % 32 / 16, column % 16 / 4, column % 4)
    let lane = 4 * row + i
    let pair = bytes[base + 64 + 256 * block + 64 * j + lane]
    let low = half == 0 ? pair & 15 : pair >> 4
    switch layout.type {
    case .q5: return low | (bytes[base + 576 + 64 * block + lane] >> (2 * j + half) & 1) << 4
    case .q6:
      let plane = bytes[base + 576 + 128 * block + 64 * (j / 2) + lane]
      return low | (plane >> (4 * (j % 2) + 2 * half) & 3) << 4
    default: return low
    }
  }

  private func outlierFlaw(rowGroup: Int, _ used: inout Int) -> Flaw? {
    for step in 0..<layout.outlierSteps {
      let base =
        layout.outlierOffset(rowGroup: rowGroup) + TensorLayout.outlierStepBytes * step
      for lane in 0..<16 {
        let column = Int(half(base + 2 * lane))
        let value = half(base + 32 + 2 * lane)
        // In use is what is not zero bit for bit: a tiny outlier's value may round to zero.
        guard column != 0 || value != 0 else { continue }
        let row = 16 * rowGroup + lane
        guard row < layout.rows else {
          return Flaw(
            expected: "0 in outlier lanes beyond row \(layout.rows - 1)",
            found: "column \(column) in row \(row)")
        }
        guard column < layout.columns else {
          return Flaw(
            expected: "outliers in columns below \(layout.columns)",
            found: "column \(column) in row \(row)")
        }
        guard value & 0x7C00 != 0x7C00 else {
          return Flaw(
            expected: "finite outliers", found: "infinity or NaN in row \(row), column \(column)")
        }
        used += 1
      }
    }
    return nil
  }

  private func single(_ offset: Int) -> Float {
    Float(
      bitPattern: UInt32(
        littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
  }

  private func half(_ offset: Int) -> UInt16 {
    UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt16.self))
  }
}
