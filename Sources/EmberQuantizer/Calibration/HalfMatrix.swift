import EmberFormat
import EmberKernels

/// A matrix in half precision in memory, in the layout of a model file.
final class HalfMatrix: @unchecked Sendable {
  // Sendable because workers write only the row groups that they have claimed.

  private let layout: TensorLayout
  private let bytes: UnsafeMutablePointer<UInt8>

  /// All zero.
  ///
  /// - Throws: `FormatError.invalidLayout`
  init(rows: Int, columns: Int) throws(FormatError) {
    layout = try TensorLayout(type: .f16, rows: rows, columns: columns)
    bytes = .aligned(layout.byteCount)
    bytes.initialize(repeating: 0, count: layout.byteCount)
  }

  deinit { bytes.deallocate() }

  /// The kernels' view, valid as long as this object.
  var view: Matrix {
    Matrix(
      type: .f16, rows: layout.rows, columns: layout.columns, outlierSteps: 0,
      data: UnsafeRawPointer(bytes))
  }

  /// The largest number that a half holds.
  static let limit: Float = 65_504

  /// Rounds rows into their places.
  ///
  /// - Parameters:
  ///   - first: the first row, a multiple of 16.
  ///   - values: [count][columns]
  func store(_ values: UnsafePointer<Float>, first: Int, count: Int, team: ThreadTeam) {
    precondition(first % 16 == 0 && first >= 0 && first + count <= layout.rows)
    team.step(StoreWork(matrix: self, values: values, first: first, count: count))
  }

  private struct StoreWork: TeamWork, @unchecked Sendable {
    // Sendable because the values are only read.
    let matrix: HalfMatrix
    let values: UnsafePointer<Float>
    let first: Int
    let count: Int

    func run(_ worker: inout ThreadTeam.Worker) {
      let layout = matrix.layout
      worker.phase(dividing: (count + 15) / 16) { groups in
        for group in groups {
          let target = matrix.bytes + (first / 16 + group) * layout.rowGroupStride
          let writer = RowGroupWriter(layout: layout, bytes: target)
          for lane in 0..<min(16, count - 16 * group) {
            writer.write(halves: values + (16 * group + lane) * layout.columns, lane: lane)
          }
        }
      }
    }
  }
}
