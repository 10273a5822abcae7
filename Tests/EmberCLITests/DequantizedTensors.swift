import Ember
import EmberFormat
import EmberKernels
import EmberModel
import Foundation
import Testing

/// Tensors as another program dequantized them, compared with those that Ember computes with.
enum DequantizedTensors {
  /// Expects every tensor of a model file to be in `folder` as `NAME.npy`, bit for bit.
  static func expectEqual(model path: String, folder: URL) throws {
    let file = try ModelFile(opening: FilePath(path))
    #expect(file.tensors.count > 20)
    for record in file.tensors {
      let values = try floats(folder.appending(path: "\(record.name).npy"))
      let (rows, columns) = (record.layout.rows, record.layout.columns)
      try #require(values.count == rows * columns, "\(record.name)")
      var row = [Float](repeating: 0, count: columns)
      for r in 0..<rows {
        try dequantize(record, of: file, row: r, into: &row)
        let expected = row.map(\.bitPattern)
        let got = values[r * columns..<(r + 1) * columns].map(\.bitPattern)
        if got != expected {
          Issue.record("\(record.name), row \(r): the two differ")
          return
        }
      }
    }
  }

  private static func dequantize(
    _ record: TensorRecord, of file: ModelFile, row: Int, into values: inout [Float]
  ) throws {
    let base = try #require(file.bytes(of: record).baseAddress)
    let layout = record.layout
    let types: [BlockType: MatrixType] = [
      .f16: .f16, .q8: .q8, .q4: .q4, .q4n: .q4n, .q5: .q5, .q6: .q6,
    ]
    guard let type = types[layout.type] else {
      for c in 0..<layout.columns {
        values[c] = base.load(fromByteOffset: 4 * (row * layout.columns + c), as: Float.self)
      }
      return
    }
    let matrix = Matrix(
      type: type, rows: layout.rows, columns: layout.columns, outlierSteps: layout.outlierSteps,
      data: base)
    matrix.copyRow(row, to: &values)
  }

  /// The floats of a .npy file, version 1.
  private static func floats(_ url: URL) throws -> [Float] {
    let data = try Data(contentsOf: url)
    let header = 10 + Int(data[8]) + Int(data[9]) << 8
    return data[header...].withUnsafeBytes { bytes in
      (0..<bytes.count / 4).map { bytes.loadUnaligned(fromByteOffset: 4 * $0, as: Float.self) }
    }
  }
}
