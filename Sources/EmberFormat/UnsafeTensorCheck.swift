/// Checks the bytes of one tensor for what its checksum cannot tell: that a converter wrote what
/// the specification says. Kernels compute over the padding, so it must be neutral, and take
/// outlier columns as indices.
///
/// Looks at the last row group, the last column tile of the others, and the outliers.
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
    guard layout.type != .f32 else { return nil }  // has no padding
    var used = 0
    for group in 0..<layout.rowGroups {
      if let flaw = paddingFlaw(rowGroup: group) ?? outlierFlaw(rowGroup: group, &used) {
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
    }
  }

  private func outlierFlaw(rowGroup: Int, _ used: inout Int) -> Flaw? {
    for step in 0..<layout.outlierSteps {
      let base =
        layout.outlierOffset(rowGroup: rowGroup) + TensorLayout.outlierStepBytes * step
      for lane in 0..<16 {
        let column = Int(half(base + 2 * lane))
        let value = half(base + 32 + 2 * lane)
        guard column != 0 || value != 0 else { continue }
        let row = 16 * rowGroup + lane
        guard value != 0, row < layout.rows else {
          return Flaw(
            expected: "0 in unused outlier lanes", found: "column \(column) in row \(row)")
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

  private func half(_ offset: Int) -> UInt16 {
    UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt16.self))
  }
}
