/// Where every number of one tensor lies, relative to the tensor's first byte.
///
/// ```swift
/// let layout = try TensorLayout(type: .q4, rows: 2048, columns: 172)
/// layout.columnTiles     // 3: 172 columns are padded to 192
/// layout.rowGroupStride  // 3 · 576 bytes
/// ```
///
/// A row group (16 rows; 1 for `f32`) is its tiles from left to right, followed by `outlierSteps`
/// steps of 64 bytes, and preceded by the scales of its rows in the grouped types; row groups follow
/// one another without a gap.
public struct TensorLayout: Sendable, Equatable {
  /// Bytes of one outlier step: 16 columns (u16), then 16 values (half).
  public static let outlierStepBytes = 64
  /// The most columns of a tensor with outliers: their positions are 16 bits wide.
  public static let maximumOutlierColumns = 65_536

  public let type: BlockType
  /// Rows and columns without padding.
  public let rows, columns: Int
  /// Outlier steps per row group; each holds at most one outlier of each row.
  public let outlierSteps: Int
  /// Bytes from one row group to the next.
  public let rowGroupStride: Int
  /// Bytes of the whole tensor.
  public let byteCount: Int

  /// The layout of a matrix of that type and shape.
  ///
  /// - Throws: `FormatError.invalidLayout` where a count is below one, outliers are not allowed
  ///   for the type or the width, or the size does not fit an `Int`.
  public init(
    type: BlockType, rows: Int, columns: Int, outlierSteps: Int = 0
  ) throws(FormatError) {
    guard rows >= 1, columns >= 1 else {
      throw .invalidLayout("\(rows) rows and \(columns) columns, expected at least 1 of each")
    }
    guard outlierSteps >= 0 else {
      throw .invalidLayout("\(outlierSteps) outlier steps, expected 0 or more")
    }
    if outlierSteps > 0 {
      guard type.allowsOutliers else {
        throw .invalidLayout("outliers in a tensor of type \(type.name), expected a block type")
      }
      guard columns <= Self.maximumOutlierColumns else {
        throw .invalidLayout(
          "outliers in \(columns) columns, expected at most \(Self.maximumOutlierColumns)")
      }
      guard outlierSteps <= columns else {
        throw .invalidLayout("\(outlierSteps) outlier steps for \(columns) columns")
      }
    }
    // (n − 1) / tile + 1 rounds up without the addition that could overflow.
    let groups = (rows - 1) / type.tileRows + 1
    let tiles = (columns - 1) / type.tileColumns + 1
    let (denseBytes, overflowA) = tiles.multipliedReportingOverflow(by: type.tileBytes)
    let (stepBytes, overflowB) = outlierSteps.multipliedReportingOverflow(
      by: Self.outlierStepBytes)
    let (tail, overflowC) = denseBytes.addingReportingOverflow(stepBytes)
    let (stride, overflowE) = tail.addingReportingOverflow(type.rowScaleBytes)
    let (total, overflowD) = stride.multipliedReportingOverflow(by: groups)
    guard !overflowA, !overflowB, !overflowC, !overflowD, !overflowE else {
      throw .invalidLayout("\(rows) × \(columns) \(type.name) exceeds the address space")
    }
    self.type = type
    self.rows = rows
    self.columns = columns
    self.outlierSteps = outlierSteps
    self.rowGroupStride = stride
    self.byteCount = total
  }

  /// Groups of 16 rows (of 1 row for `f32`).
  public var rowGroups: Int { (rows - 1) / type.tileRows + 1 }
  /// Tiles from left to right.
  public var columnTiles: Int { (columns - 1) / type.tileColumns + 1 }
  /// Rows with padding. Does not overflow: `byteCount` holds at least one byte per row.
  public var paddedRows: Int { rowGroups * type.tileRows }
  /// Columns with padding. Does not overflow, likewise.
  public var paddedColumns: Int { columnTiles * type.tileColumns }

  /// The first byte of a tile. Does not overflow for indices inside the tensor.
  public func tileOffset(rowGroup: Int, columnTile: Int) -> Int {
    rowGroup * rowGroupStride + type.rowScaleBytes + columnTile * type.tileBytes
  }

  /// The first byte of a row group's outlier steps.
  public func outlierOffset(rowGroup: Int) -> Int {
    rowGroup * rowGroupStride + type.rowScaleBytes + columnTiles * type.tileBytes
  }
}
