import EmberFormat
import EmberKernels
import Synchronization

/// Rows of a table, read from the file one at a time: a table of tokens is large, and a text needs
/// a few of its rows, so it has no place in a memory budget.
///
/// One thread at a time.
final class TableRows: @unchecked Sendable {
  // Sendable because one thread at a time uses it: the worker that has the phase's only piece.

  private let file: ModelFile
  private let record: TensorRecord
  private let type: MatrixType
  /// One group of 16 rows; which, or -1.
  private let group: UnsafeMutableRawBufferPointer
  private var held = -1
  private(set) var failure: FormatError?
  private(set) var bytesRead = 0

  /// - Parameter matrix: the table, as bound to the architecture.
  init(_ record: TensorRecord, matrix: Matrix, of file: ModelFile) {
    self.file = file
    self.record = record
    type = matrix.type
    group = .allocate(byteCount: matrix.groupStride, alignment: 64)
    group.initializeMemory(as: UInt8.self, repeating: 0)
  }

  deinit { group.deallocate() }

  /// Dequantizes a row into [columns] floats. Where the file cannot be read it stores what is left
  /// from before, and `failure` says why.
  func copyRow(_ row: Int, to output: UnsafeMutablePointer<Float>) {
    guard let base = group.baseAddress else { return }
    if row / 16 != held {
      held = row / 16
      do {
        try file.read(into: group, at: record.offset + held * group.count)
        bytesRead += group.count
      } catch {
        failure = failure ?? error
      }
    }
    let layout = record.layout
    Matrix(
      type: type, rows: 16, columns: layout.columns, outlierSteps: layout.outlierSteps, data: base
    ).copyRow(row % 16, to: output)
  }
}
