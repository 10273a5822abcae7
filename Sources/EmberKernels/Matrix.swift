import CKernels

/// How the weights of a matrix are stored; see `formats/model-file.md` for the layouts.
public enum MatrixType: Sendable {
  case f16, q8, q6, q5, q4n, q4

  /// Bytes of a tile of 16 rows × 64 columns.
  public var tileBytes: Int {
    switch self {
    case .f16: 2048
    case .q8: 1088
    case .q6: 832
    case .q5: 704
    case .q4n, .q4: 576
    }
  }

  /// Bytes before the tiles of a group of 16 rows: a float scale per row, where groups of 16 columns
  /// have no more than a signed byte.
  public var rowScaleBytes: Int {
    switch self {
    case .q6, .q5, .q4n: 64
    case .f16, .q8, .q4: 0
    }
  }
}

/// A view of a weight matrix [rows, columns] in the model file's layout. It owns nothing: whoever
/// makes one keeps the memory alive and mapped.
public struct Matrix: @unchecked Sendable {
  // Sendable because the memory behind it is never written.

  public let type: MatrixType
  public let rows: Int
  public let columns: Int
  public let outlierSteps: Int
  package let data: UnsafeRawPointer

  /// `data` holds `rowGroups · groupStride` bytes.
  public init(
    type: MatrixType, rows: Int, columns: Int, outlierSteps: Int, data: UnsafeRawPointer
  ) {
    self.type = type
    self.rows = rows
    self.columns = columns
    self.outlierSteps = outlierSteps
    self.data = data
  }

  /// Row groups that the kernels take at once for a single token: work is best split in multiples.
  package static let groupsAtOnce = 4

  /// Groups of 16 rows, the unit in which work is split.
  public var rowGroups: Int { (rows + 15) / 16 }
  /// Tiles of 64 columns.
  public var columnTiles: Int { (columns + 63) / 64 }
  public var groupStride: Int {
    type.rowScaleBytes + columnTiles * type.tileBytes + outlierSteps * 64
  }
  /// Bytes that one product reads.
  public var byteCount: Int { rowGroups * groupStride }

  private var view: ember_matrix {
    ember_matrix(
      data: data.assumingMemoryBound(to: UInt8.self), rows: rows, column_tiles: columnTiles,
      group_stride: groupStride, outlier_steps: outlierSteps)
  }

  /// output[token][row] = Σ weight[row][column] · input[token][column], for some groups of 16 rows.
  ///
  /// - Parameters:
  ///   - inputs: quantized for every block type but f16.
  ///   - groups: row groups to compute; their rows of the output are written and no others.
  ///   - output: [tokens][stride] floats.
  ///   - bias: [rows] floats, added to the product.
  ///   - accumulating: adds to what the output holds.
  public func multiply(
    _ inputs: Activations, groups: Range<Int>, output: UnsafeMutablePointer<Float>, stride: Int,
    bias: UnsafePointer<Float>? = nil, accumulating: Bool = false, kernels: Kernels
  ) {
    // A few row groups' weights stay in the cache while the tiles of tokens pass by, and a tile while
    // those row groups do.
    guard let multiply = product(kernels) else { return }
    precondition(inputs.paddedColumns == 64 * columnTiles, "inputs of another width")
    let tiles = inputs.tileCount
    let step = tiles == 1 ? groups.count : Self.groupsAtOnce
    var first = groups.lowerBound
    while first < groups.upperBound {
      let count = min(step, groups.upperBound - first)
      for tile in 0..<tiles {
        var x = inputs.tile(tile)
        let target = ember_output(
          output: output + tile * inputs.tileLength * stride, stride: stride, bias: bias,
          accumulate: accumulating ? 1 : 0)
        multiply(view, &x, target, first, count)
      }
      first += count
    }
  }

  /// The same with one tile of the inputs, whose first token's output begins at `output`.
  public func multiply(
    _ inputs: Activations, tile: Int, groups: Range<Int>, output: UnsafeMutablePointer<Float>,
    stride: Int, kernels: Kernels
  ) {
    guard let multiply = product(kernels) else { return }
    precondition(inputs.paddedColumns == 64 * columnTiles, "inputs of another width")
    var x = inputs.tile(tile)
    let target = ember_output(output: output, stride: stride, bias: nil, accumulate: 0)
    multiply(view, &x, target, groups.lowerBound, groups.count)
  }

  private typealias Product =
    @convention(c) (
      ember_matrix, UnsafePointer<ember_token_tile>?, ember_output, Int, Int
    ) -> Void

  private func product(_ kernels: Kernels) -> Product? {
    switch type {
    case .f16: kernels.table.multiply_f16
    case .q8: kernels.table.multiply_q8
    case .q6: kernels.table.multiply_q6
    case .q5: kernels.table.multiply_q5
    case .q4n: kernels.table.multiply_q4n
    case .q4: kernels.table.multiply_q4
    }
  }

  /// Dequantizes row `row` into `columns` floats.
  public func copyRow(_ row: Int, to output: UnsafeMutablePointer<Float>) {
    let group = data + row / 16 * groupStride
    let lane = row % 16
    let tiles = group + type.rowScaleBytes
    for column in 0..<columns {
      let tile = tiles + column / 64 * type.tileBytes
      let block = column % 64 / 32
      let inner = column % 32
      func byte(_ offset: Int) -> Int { Int(tile.load(fromByteOffset: offset, as: UInt8.self)) }
      func half(_ offset: Int) -> Float {
        Half.value(tile.load(fromByteOffset: offset, as: UInt16.self))
      }
      switch type {
      case .f16:
        output[column] = half(32 * (column % 64) + 2 * lane)
      case .q8:
        let code = byte(64 + 512 * block + 64 * (inner / 4) + 4 * lane + inner % 4)
        output[column] = half(32 * block + 2 * lane) * Float(code - 128)
      case .q4:
        let both = byte(64 + 256 * block + 64 * (inner % 16 / 4) + 4 * lane + inner % 4)
        let code = inner < 16 ? both & 15 : both >> 4
        output[column] = half(32 * block + 2 * lane) * Float(code - 8)
      case .q4n, .q5, .q6:
        let reader = TwoLevelReader(type)
        let codes = tile.assumingMemoryBound(to: UInt8.self)
        // At most 127 · 32: exact, so that only the row's scale rounds.
        let scale = reader.scale(codes, lane, column % 64)
        let product = scale * reader.value(codes, lane, column % 64)
        output[column] = group.load(fromByteOffset: 4 * lane, as: Float.self) * Float(product)
      }
    }
    let steps = tiles + columnTiles * type.tileBytes
    for step in 0..<outlierSteps {
      let at = steps + 64 * step + 2 * lane
      let column = Int(at.load(as: UInt16.self))
      guard column < columns else { continue }
      output[column] += Half.value((at + 32).load(as: UInt16.self))
    }
  }
}
