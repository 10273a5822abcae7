import EmberFormat
import EmberKernels

extension MatrixConverter {
  /// A matrix as a file would give it back.
  struct Decoded {
    var layout: TensorLayout
    /// Σ importance · (fp16 weight − decoded weight)²
    var weightedError: Double
    var loss: Loss
    /// What was decoded, in half precision.
    var matrix: HalfMatrix
  }

  /// Encodes into memory, decodes, and compares with the weights in half precision.
  func decoded(
    outlierSteps: Int, team: ThreadTeam, advance: (Int) throws -> Void
  ) throws -> Decoded {
    let layout = try TensorLayout(
      type: type, rows: tensor.rows, columns: tensor.columns, outlierSteps: outlierSteps)
    let bytes = UnsafeMutableRawPointer.allocate(byteCount: layout.byteCount, alignment: 64)
    defer { bytes.deallocate() }
    var written = 0
    let loss = try encode(layout: layout, advance: advance) { part in
      guard let base = part.baseAddress else { return }
      (bytes + written).copyMemory(from: base, byteCount: part.count)
      written += part.count
    }
    let view = Matrix(
      type: MatrixType(layout.type), rows: layout.rows, columns: layout.columns,
      outlierSteps: outlierSteps, data: UnsafeRawPointer(bytes))
    let matrix = try HalfMatrix(rows: layout.rows, columns: layout.columns)
    let columns = tensor.columns
    let values = UnsafeMutablePointer<Float>.allocate(
      capacity: tensor.preferredRowCount * columns)
    defer { values.deallocate() }
    var error = 0.0
    try forEachBlock(advance: advance) { rows, weights in
      let parts = concurrently(rows.count) { range -> Double in
        var error = 0.0
        for row in range {
          let target = values + row * columns
          view.copyRow(rows.lowerBound + row, to: target)
          for column in 0..<columns {
            let weight = Half.value(Half.bits(weights[row * columns + column]))
            let lost = Double(weight - target[column])
            error += lost * lost * Double(importance?[column] ?? 1)
            target[column] = min(max(target[column], -HalfMatrix.limit), HalfMatrix.limit)
          }
        }
        return error
      }
      for part in parts { error += part }
      matrix.store(values, first: rows.lowerBound, count: rows.count, team: team)
    }
    return Decoded(layout: layout, weightedError: error, loss: loss, matrix: matrix)
  }
}

extension MatrixType {
  fileprivate init(_ type: BlockType) {
    self =
      switch type {
      case .q8: .q8
      case .q6: .q6
      case .q5: .q5
      case .q4n: .q4n
      case .q4: .q4
      case .f16, .f32: .f16
      }
  }
}
