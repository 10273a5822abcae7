import EmberKernels
import EmberModel
import SystemPackage

/// All weights of a checkpoint in memory, of which one matrix at a time can be replaced.
final class ResidentWeights: WeightSource {
  typealias Failure = any Error

  private let checkpoint: CheckpointWeights
  private var matrices: [String: Matrix] = [:]
  private var vectors: [String: UnsafePointer<Float>] = [:]
  private var replacement: (name: String, matrix: HalfMatrix)?

  init(_ tensors: [String: CheckpointTensor], path: FilePath, team: ThreadTeam) {
    checkpoint = CheckpointWeights(tensors, path: path, team: team)
  }

  /// From now on another matrix stands for the tensor of that name, or none does.
  func replace(_ replacement: (name: String, matrix: HalfMatrix)?) {
    self.replacement = replacement
  }

  func matrix(_ name: String, rows: Int, columns: Int) throws -> Matrix {
    if let replacement, replacement.name == name { return replacement.matrix.view }
    if let matrix = matrices[name] { return matrix }
    let matrix = try checkpoint.matrix(name, rows: rows, columns: columns)
    matrices[name] = matrix
    return matrix
  }

  func vector(_ name: String, count: Int) throws -> UnsafePointer<Float> {
    if let vector = vectors[name] { return vector }
    let vector = try checkpoint.vector(name, count: count)
    vectors[name] = vector
    return vector
  }

  func optionalVector(_ name: String, count: Int) throws -> UnsafePointer<Float>? {
    if let vector = vectors[name] { return vector }
    let vector = try checkpoint.optionalVector(name, count: count)
    if let vector { vectors[name] = vector }
    return vector
  }
}
