import EmberFormat
import EmberKernels

/// Goes through the outliers of one tensor where they lie in the mapping, checking each as
/// `ModelFile.verify` does: a damaged file ends in an error, not in a wrong index.
///
/// Holds nothing but the place, whatever the size of the tensor. Reads the outlier steps and the
/// scales of the blocks that outliers are in, not the codes and not the checksum.
struct OutlierWalk {
  private let file: ModelFile
  private let record: TensorRecord
  private var layout: TensorLayout { record.layout }

  struct Outlier {
    /// Inside the tensor, padding excluded.
    let row, column: Int
    /// |value| over the largest magnitude that its block's codes reach; 0 for a value of 0, infinite
    /// in a block of zeros.
    let ratio: Float
  }

  /// - Parameter record: of this file.
  init(_ record: TensorRecord, of file: ModelFile) {
    self.file = file
    self.record = record
  }

  /// Calls `body` for every lane in use, group by group and step by step.
  ///
  /// - Throws: `FormatError.damaged`
  func visit(_ body: (Outlier) -> Void) throws(FormatError) {
    // Exactly layout.byteCount bytes: opening the file has checked that. Row groups, steps and
    // lanes below are inside, by the layout; columns are checked before they are used.
    let bytes = file.bytes(of: record)
    defer { withExtendedLifetime(file) {} }
    var used = 0
    for group in 0..<(layout.outlierSteps == 0 ? 0 : layout.rowGroups) {
      for step in 0..<layout.outlierSteps {
        let base = layout.outlierOffset(rowGroup: group) + TensorLayout.outlierStepBytes * step
        for lane in 0..<16 {
          let column = Int(half(bytes, base + 2 * lane))
          let bits = half(bytes, base + 32 + 2 * lane)
          guard column != 0 || bits != 0 else { continue }
          let row = 16 * group + lane
          guard row < layout.rows else {
            throw damaged(
              "0 in outlier lanes beyond row \(layout.rows - 1)", "column \(column) in row \(row)")
          }
          guard column < layout.columns else {
            throw damaged(
              "outliers in columns below \(layout.columns)", "column \(column) in row \(row)")
          }
          let size = Half.value(bits).magnitude
          let reach = blockReach(bytes, rowGroup: group, lane: lane, column: column)
          guard size.isFinite, reach.isFinite else {
            throw damaged(
              size.isFinite ? "a finite scale" : "finite outliers",
              "infinity or NaN in row \(row), column \(column)")
          }
          used += 1
          guard used <= record.outlierCount else {
            throw damaged("\(record.outlierCount) outliers", "more, from row \(row) on")
          }
          body(Outlier(row: row, column: column, ratio: size == 0 ? 0 : size / reach))
        }
      }
    }
  }

  /// The largest magnitude that the codes of a weight's block can stand for. All that this file
  /// knows about block types is here.
  private func blockReach(
    _ bytes: UnsafeRawBufferPointer, rowGroup: Int, lane: Int, column: Int
  ) -> Float {
    let tile = layout.tileOffset(rowGroup: rowGroup, columnTile: column / 64)
    switch layout.type {
    case .q4, .q8:
      // A scale in fp16 per row and block of 32 columns; codes from −8 to 7, from −127 to 127.
      let scale = Half.value(half(bytes, tile + 32 * (column % 64 / 32) + 2 * lane))
      return scale.magnitude * (layout.type == .q4 ? 8 : 127)
    case .q4n, .q5, .q6:
      // A scale of 8 bits per row and group of 16 columns, times the row's in f32.
      let start = rowGroup * layout.rowGroupStride + 4 * lane
      let row = Float(
        bitPattern: UInt32(
          littleEndian: bytes.loadUnaligned(fromByteOffset: start, as: UInt32.self)))
      let place = tile + 32 * (column % 64 / 32) + 2 * lane + column % 32 / 16
      let scale = row * Float(Int8(bitPattern: bytes[place]))
      return scale.magnitude * (layout.type == .q5 ? 16 : 32)
    case .f16, .f32:
      return 0  // have no outliers: the directory's check excludes steps
    }
  }

  private func half(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> UInt16 {
    UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt16.self))
  }

  private func damaged(_ expected: String, _ found: String) -> FormatError {
    .damaged(
      file.path, place: "tensor '\(record.name)'", expected: expected, found: found)
  }
}
