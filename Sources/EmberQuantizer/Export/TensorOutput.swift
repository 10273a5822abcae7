import EmberFormat
import EmberKernels

/// Writes tensors row by row in the types of other formats, little-endian.
struct TensorOutput {
  private var rows: ModelRows
  /// Called after each few rows with the weights that are done; throws to stop.
  private let advance: (_ tensor: String, _ weights: Int) throws -> Void

  /// Bytes of a transposed tensor that are in memory at once.
  static let panelBytes = 16 << 20

  init(_ file: ModelFile, advance: @escaping (String, Int) throws -> Void) {
    rows = ModelRows(file)
    self.advance = advance
  }

  mutating func write(_ tensor: ExportTensor, to output: inout BufferedOutput) throws {
    if let constants = tensor.rows.constants {
      try write(constants, row: 0, of: tensor, to: &output)
    } else if tensor.rows.parts.allSatisfy({ StackedRows.isVector($0.tensor) }) {
      try writeVector(tensor, to: &output)
    } else if tensor.isTransposed {
      try writeTransposed(tensor, to: &output)
    } else {
      try writeMatrix(tensor, to: &output)
    }
  }

  private func writeVector(_ tensor: ExportTensor, to output: inout BufferedOutput) throws {
    let sources = try tensor.rows.parts.map { try rows.vector($0.tensor) }
    let values = (0..<tensor.elementCount).map { index in
      let (part, element) = tensor.rows.source(of: index)
      return sources[part][element] - tensor.subtrahend
    }
    try write(values, row: 0, of: tensor, to: &output)
    try advance(tensor.name, values.count)
  }

  private mutating func writeMatrix(
    _ tensor: ExportTensor, to output: inout BufferedOutput
  ) throws {
    let columns = tensor.rows.parts[0].tensor.layout.columns
    let count = tensor.elementCount / columns
    var values = [Float](repeating: 0, count: columns)
    for row in 0..<tensor.leadingRows { try write(values, row: row, of: tensor, to: &output) }
    for row in tensor.leadingRows..<count {
      try read(row - tensor.leadingRows, of: tensor, into: &values)
      try write(values, row: row, of: tensor, to: &output)
      if row % 16 == 15 || row == count - 1 {
        try advance(tensor.name, (row % 16 + 1) * columns)
      }
    }
  }

  private mutating func read(
    _ row: Int, of tensor: ExportTensor, into values: inout [Float]
  ) throws {
    let (index, source) = tensor.rows.source(of: row)
    let part = tensor.rows.parts[index]
    try rows.read(source, of: part.tensor, into: &values)
    if let factors = part.columnFactors {
      for column in values.indices { values[column] *= factors[column] }
    }
  }

  /// A panel of columns at a time, for each of which all rows are read again.
  private mutating func writeTransposed(
    _ tensor: ExportTensor, to output: inout BufferedOutput
  ) throws {
    let (columns, count) = (tensor.shape[0], tensor.shape[1])
    let width = max(1, min(columns, Self.panelBytes / (4 * count)))
    var values = [Float](repeating: 0, count: columns)
    var panel = [Float](repeating: 0, count: width * count)
    for first in stride(from: 0, to: columns, by: width) {
      let step = min(width, columns - first)
      for row in 0..<count {
        try read(row, of: tensor, into: &values)
        for column in 0..<step { panel[column * count + row] = values[first + column] }
      }
      for column in 0..<step {
        let start = column * count
        try write(
          Array(panel[start..<(start + count)]), row: first + column, of: tensor, to: &output)
      }
      try advance(tensor.name, step * count)
    }
  }

  // MARK: Types

  private func write(
    _ values: [Float], row: Int, of tensor: ExportTensor, to output: inout BufferedOutput
  ) throws {
    switch tensor.type {
    case .float32: try output.append(Self.bytes(values.map(\.bitPattern)))
    case .float16: try output.append(Self.bytes(try halves(values, row: row, of: tensor)))
    case .q8x0: try output.append(Q8Block.encoded(values))
    }
  }

  private func halves(
    _ values: [Float], row: Int, of tensor: ExportTensor
  ) throws(ExportError) -> [UInt16] {
    let halves = values.map { Half.bits($0) }
    if let column = halves.firstIndex(where: { $0 & 0x7C00 == 0x7C00 }) {
      throw .weightTooLarge(
        tensor: tensor.name, row: row, column: column, value: values[column])
    }
    return halves
  }

  private static func bytes<Word: FixedWidthInteger>(_ words: [Word]) -> [UInt8] {
    words.withUnsafeBytes { Array($0) }
  }
}

/// GGUF's Q8_0: 32 signed bytes under one scale.
///
/// The scale is the largest size / 127, the bytes the quotients rounded to the nearest whole number,
/// halves away from zero, and only then is the scale rounded to binary16
/// (`quantize_row_q8_0_ref` in <https://github.com/ggml-org/ggml>).
package enum Q8Block {
  /// - Parameter values: a multiple of 32.
  package static func encoded(_ values: [Float]) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(values.count / 32 * 34)
    for start in stride(from: 0, to: values.count, by: 32) {
      let block = values[start..<min(start + 32, values.count)]
      let scale = (block.lazy.map(abs).max() ?? 0) / 127
      let inverse = scale == 0 ? 0 : 1 / scale
      let half = Half.bits(scale)
      bytes += [UInt8(truncatingIfNeeded: half), UInt8(truncatingIfNeeded: half >> 8)]
      // At most 127.00001 in size, so that the rounded value fits.
      for value in block {
        let code = (value * inverse).rounded(.toNearestOrAwayFromZero)
        bytes.append(UInt8(bitPattern: Int8(max(-127, min(127, code)))))
      }
    }
    return bytes
  }
}
