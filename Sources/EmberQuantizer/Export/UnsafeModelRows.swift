import EmberFormat
import EmberKernels
import EmberModel

/// Reads rows of a model file as floats, past the mapping, so that a file of any size passes through
/// a few groups of rows.
struct ModelRows {
  let file: ModelFile
  /// Groups of 16 rows that were read last, the latest first. Interleaved heads and the halves of a
  /// head alternate between a few.
  private var groups: [Group] = []

  private struct Group {
    let tensor: Int
    let index: Int
    let bytes: [UInt8]
  }

  private static let groupLimit = 8

  init(_ file: ModelFile) { self.file = file }

  /// The bytes that reading a tensor takes.
  static func byteCount(of tensor: TensorRecord) -> Int {
    groupLimit * tensor.layout.rowGroupStride
  }

  /// The elements of a vector.
  func vector(_ tensor: TensorRecord) throws(FormatError) -> [Float] {
    var values = [Float](repeating: 0, count: tensor.layout.columns)
    let result = values.withUnsafeMutableBytes { buffer -> FormatError? in
      do throws(FormatError) {
        try file.read(into: buffer, at: tensor.offset)
        return nil
      } catch {
        return error
      }
    }
    if let result { throw result }
    return values
  }

  /// Dequantizes a row of a matrix, outliers included, into `values`, which has a place for each
  /// column.
  mutating func read(
    _ row: Int, of tensor: TensorRecord, into values: inout [Float]
  ) throws(FormatError) {
    let layout = tensor.layout
    let type: MatrixType
    switch layout.type {
    case .f16: type = .f16
    case .q8: type = .q8
    case .q6: type = .q6
    case .q5: type = .q5
    case .q4n: type = .q4n
    case .q4: type = .q4
    case .f32:
      values = try vector(tensor)
      return
    }
    precondition(row < layout.rows && values.count == layout.columns, "rows of another matrix")
    let group = try group(row / 16, of: tensor)
    group.bytes.withUnsafeBytes { bytes in
      guard let base = bytes.baseAddress else { return }
      // The layout says that a group has `rowGroupStride` bytes, which is what was read.
      let matrix = Matrix(
        type: type, rows: 16, columns: layout.columns, outlierSteps: layout.outlierSteps,
        data: base)
      values.withUnsafeMutableBufferPointer { values in
        if let target = values.baseAddress { matrix.copyRow(row % 16, to: target) }
      }
    }
  }

  private mutating func group(
    _ index: Int, of tensor: TensorRecord
  ) throws(FormatError) -> Group {
    if let at = groups.firstIndex(where: { $0.tensor == tensor.offset && $0.index == index }) {
      if at == 0 { return groups[0] }
      let group = groups.remove(at: at)
      groups.insert(group, at: 0)
      return group
    }
    if groups.count == Self.groupLimit { groups.removeLast() }
    let stride = tensor.layout.rowGroupStride
    var bytes = [UInt8](repeating: 0, count: stride)
    let result = bytes.withUnsafeMutableBytes { buffer -> FormatError? in
      do throws(FormatError) {
        try file.read(into: buffer, at: tensor.offset + index * stride)
        return nil
      } catch {
        return error
      }
    }
    if let result { throw result }
    let group = Group(tensor: tensor.offset, index: index, bytes: bytes)
    groups.insert(group, at: 0)
    return group
  }
}
