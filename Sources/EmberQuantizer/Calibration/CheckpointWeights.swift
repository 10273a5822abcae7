import EmberKernels
import EmberModel
import SystemPackage

/// Some of a checkpoint's tensors in memory, read when they are asked for: those of one layer.
///
/// Matrices are in half precision, vectors in single, as in a model file of 16 bits.
final class CheckpointWeights: WeightSource {
  typealias Failure = any Error

  private let path: FilePath
  private let tensors: [String: CheckpointTensor]
  private let team: ThreadTeam
  private var matrices: [HalfMatrix] = []
  private var vectors: [UnsafeMutablePointer<Float>] = []

  /// - Parameters:
  ///   - tensors: of the whole checkpoint, by their names.
  ///   - path: what errors name.
  init(_ tensors: [String: CheckpointTensor], path: FilePath, team: ThreadTeam) {
    self.tensors = tensors
    self.path = path
    self.team = team
  }

  deinit {
    for vector in vectors { vector.deallocate() }
  }

  func matrix(_ name: String, rows: Int, columns: Int) throws -> Matrix {
    let tensor = try tensor(name, rows, columns)
    let matrix = try HalfMatrix(rows: rows, columns: columns)
    let step = tensor.preferredRowCount
    let buffer = UnsafeMutableBufferPointer<Float>.allocate(capacity: step * columns)
    defer { buffer.deallocate() }
    for first in stride(from: 0, to: rows, by: step) {
      let range = first..<min(first + step, rows)
      try Self.read(tensor, range, into: buffer)
      if let base = buffer.baseAddress {
        matrix.store(base, first: first, count: range.count, team: team)
      }
    }
    matrices.append(matrix)
    return matrix.view
  }

  /// Rows of a table in the order of `ids`, [ids.count, columns].
  func rows(_ ids: [Int32], of name: String, rows: Int, columns: Int) throws -> Matrix {
    let tensor = try tensor(name, rows, columns)
    let matrix = try HalfMatrix(rows: ids.count, columns: columns)
    let buffer = UnsafeMutableBufferPointer<Float>.allocate(capacity: ids.count * columns)
    defer { buffer.deallocate() }
    for (place, id) in ids.enumerated() {
      let row = UnsafeMutableBufferPointer(
        rebasing: buffer[place * columns..<(place + 1) * columns])
      try Self.read(tensor, Int(id)..<Int(id) + 1, into: row)
    }
    if let base = buffer.baseAddress {
      matrix.store(base, first: 0, count: ids.count, team: team)
    }
    matrices.append(matrix)
    return matrix.view
  }

  func vector(_ name: String, count: Int) throws -> UnsafePointer<Float> {
    let tensor = try tensor(name, 1, count)
    let values = UnsafeMutablePointer<Float>.aligned(count)
    vectors.append(values)
    values.initialize(repeating: 0, count: count)
    try tensor.read(rows: 0..<1, into: UnsafeMutableBufferPointer(start: values, count: count))
    return UnsafePointer(values)
  }

  func optionalVector(_ name: String, count: Int) throws -> UnsafePointer<Float>? {
    tensors[name] == nil ? nil : try vector(name, count: count)
  }

  private func tensor(_ name: String, _ rows: Int, _ columns: Int) throws -> CheckpointTensor {
    guard let tensor = tensors[name] else {
      throw CheckpointError.missingTensor(path: path, tensor: name)
    }
    guard tensor.rows == rows, tensor.columns == columns else {
      throw CheckpointError.wrongShape(
        path: path, tensor: name, expected: [rows, columns], found: [tensor.rows, tensor.columns])
    }
    return tensor
  }

  /// Reads rows and refuses what a half cannot hold.
  private static func read(
    _ tensor: CheckpointTensor, _ rows: Range<Int>, into buffer: UnsafeMutableBufferPointer<Float>
  ) throws {
    try tensor.read(rows: rows, into: buffer)
    for index in 0..<rows.count * tensor.columns where abs(buffer[index]) > HalfMatrix.limit {
      throw QuantizerError.weightTooLarge(
        tensor: tensor.name, row: rows.lowerBound + index / tensor.columns,
        column: index % tensor.columns, value: buffer[index], limit: HalfMatrix.limit)
    }
  }
}
