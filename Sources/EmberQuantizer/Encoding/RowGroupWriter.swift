import EmberFormat
import EmberKernels

/// Writes encoded rows into the bytes of a row group, as `formats/model-file.md` lays them out.
struct RowGroupWriter {
  let layout: TensorLayout
  /// `layout.rowGroupStride` bytes, zero at first.
  let bytes: UnsafeMutablePointer<UInt8>

  private func store(single: Float, at offset: Int) {
    let bits = single.bitPattern
    for i in 0..<4 { bytes[offset + i] = UInt8(truncatingIfNeeded: bits >> (8 * UInt32(i))) }
  }

  private func store(_ half: UInt16, at offset: Int) {
    bytes[offset] = UInt8(truncatingIfNeeded: half)
    bytes[offset + 1] = UInt8(truncatingIfNeeded: half >> 8)
  }

  /// Sets every code of the group to the code of zero: what padding must hold.
  func clear() {
    bytes.update(repeating: 0, count: layout.rowGroupStride)
    let zero: UInt8 =
      switch layout.type {
      case .q4: 0x88
      case .q8: 0x80
      case .f16, .f32, .q4n, .q5, .q6: 0
      }
    if zero == 0 { return }
    for tile in 0..<layout.columnTiles {
      let start = tile * layout.type.tileBytes
      (bytes + start + 64).update(repeating: zero, count: layout.type.tileBytes - 64)
    }
  }

  /// One row of a group in blocks; `lane` is the row's place in it.
  func write(_ row: RowEncoder, lane: Int) {
    if layout.type.isGrouped { writeGroups(row, lane: lane) } else { writeBlocks(row, lane: lane) }
    let steps = layout.outlierOffset(rowGroup: 0)
    for (step, outlier) in row.outliers.prefix(layout.outlierSteps).enumerated() {
      store(UInt16(outlier.column), at: steps + 64 * step + 2 * lane)
      store(row.stored(outlier), at: steps + 64 * step + 32 + 2 * lane)
    }
  }

  private func writeGroups(_ row: RowEncoder, lane: Int) {
    store(single: row.rowScale, at: 4 * lane)
    for group in 0..<row.blockCount {
      let tile = layout.tileOffset(rowGroup: 0, columnTile: group / 4)
      let (block, half) = (group % 4 / 2, group % 2)
      bytes[tile + 32 * block + 2 * lane + half] = UInt8(bitPattern: row.multiples[group])
      for column in 16 * group..<min(16 * group + 16, row.columns) {
        let code = UInt8(bitPattern: row.codes[column])
        let (j, i) = (column % 16 / 4, column % 4)
        let place = 4 * lane + i
        bytes[tile + 64 + 256 * block + 64 * j + place] |= (code & 15) << (4 * half)
        switch layout.type {
        case .q5: bytes[tile + 576 + 64 * block + place] |= (code >> 4) << (2 * j + half)
        case .q6:
          bytes[tile + 576 + 128 * block + 64 * (j / 2) + place] |=
            (code >> 4) << (4 * (j % 2) + 2 * half)
        default: break
        }
      }
    }
  }

  private func writeBlocks(_ row: RowEncoder, lane: Int) {
    for block in 0..<row.blockCount {
      let tile = block / 2 * layout.type.tileBytes
      let half = block % 2
      let codes = row.codes + 32 * block
      store(Half.bits(row.scales[block]), at: tile + 32 * half + 2 * lane)
      if layout.type == .q4 {
        let start = tile + 64 + 256 * half + 4 * lane
        for i in 0..<16 {
          let low = UInt8(truncatingIfNeeded: codes[i] + 8)
          let high = UInt8(truncatingIfNeeded: codes[16 + i] + 8)
          bytes[start + 64 * (i / 4) + i % 4] = low | high << 4
        }
      } else {
        let start = tile + 64 + 512 * half + 4 * lane
        for i in 0..<32 {
          bytes[start + 64 * (i / 4) + i % 4] = UInt8(truncatingIfNeeded: Int(codes[i]) + 128)
        }
      }
    }
  }

  /// One row of an f16 group.
  func write(halves row: UnsafePointer<Float>, lane: Int) {
    for column in 0..<layout.columns {
      let tile = column / 64 * layout.type.tileBytes
      store(Half.bits(row[column]), at: tile + 32 * (column % 64) + 2 * lane)
    }
  }
}
