import CKernels

/// Reads the block types with two levels of scales, q4n, q5 and q6, one weight at a time: a weight is
/// float scale of its row · int8 scale of 16 columns · value of its code.
struct TwoLevelReader {
  let type: MatrixType

  init(_ type: MatrixType) { self.type = type }

  /// The scale of `row` (0 ..< 16) and the 16 columns around `column` (0 ..< 64) of a tile.
  func scale(_ tile: UnsafePointer<UInt8>, _ row: Int, _ column: Int) -> Int32 {
    Int32(Int8(bitPattern: tile[32 * (column / 32) + 2 * row + column % 32 / 16]))
  }

  /// The integer weight in `row` (0 ..< 16) and `column` (0 ..< 64) of a tile, −32 ... 32.
  func value(_ tile: UnsafePointer<UInt8>, _ row: Int, _ column: Int) -> Int32 {
    let block = column / 32
    let half = column % 32 / 16
    let (line, lane) = (column % 16 / 4, 4 * row + column % 4)
    let byte = Int32(tile[64 + 256 * block + 64 * line + lane])
    let low = half == 0 ? byte & 15 : byte >> 4
    switch type {
    case .q5:
      let plane = Int32(tile[576 + 64 * block + lane])
      return low + (plane >> Int32(2 * line + half) & 1) * 16 - 16
    case .q6:
      let plane = Int32(tile[576 + 128 * block + 64 * (line / 2) + lane])
      return low + (plane >> Int32(4 * (line % 2) + 2 * half) & 3) * 16 - 32
    default:
      return Int32(MatrixType.q4nGrid[Int(low)]) - 32
    }
  }
}

extension MatrixType {
  /// What the codes of q4n mean, ascending: the value of a code is its entry − 32.
  package static let q4nGrid: [UInt8] = withUnsafeBytes(of: ember_q4n_grid) { Array($0) }
}
