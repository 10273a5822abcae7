import SystemPackage

/// The index beside a sharded checkpoint: which file each tensor is in.
///
/// Safetensors and PyTorch's pickles have the same one: an object with a `weight_map`.
struct ShardIndex {
  let path: FilePath
  /// File names by tensor.
  let fileNames: [String: String]

  /// Larger than the index of any model: 150,000 tensors take less.
  private static let sizeLimit = 16 << 20

  init(opening path: FilePath) throws(CheckpointError) {
    struct Index: Decodable {
      let weightMap: [String: String]
      enum CodingKeys: String, CodingKey { case weightMap = "weight_map" }
    }
    let text = try CheckpointFile.contents(of: path, limit: Self.sizeLimit)
    do throws(JSONProblem) {
      fileNames = try decodeJSON(Index.self, from: text).weightMap
      guard !fileNames.isEmpty else {
        throw JSONProblem(text: "expected a weight_map, found none")
      }
    } catch {
      throw .damagedIndex(path: path, problem: error.text)
    }
    self.path = path
  }

  /// Opens the shards, which lie beside the index, and checks that they hold what it says.
  func openShards(
    _ open: (FilePath) throws(CheckpointError) -> StoredTensors
  ) throws(CheckpointError) -> StoredTensors {
    var files: [CheckpointFile] = []
    var tensors: [String: StoredTensor] = [:]
    var format = ""
    for fileName in Set(fileNames.values).sorted() {
      // A name with a separator could lead anywhere on this machine.
      guard let component = FilePath.Component(fileName), component.kind == .regular else {
        throw .damagedIndex(
          path: path, problem: "expected plain file names, found '\(fileName)'")
      }
      let shard = try open(path.removingLastComponent().appending(component))
      for (name, tensor) in shard.tensors {
        guard tensors.updateValue(tensor, forKey: name) == nil else {
          throw .damagedIndex(path: path, problem: "two shards hold the tensor '\(name)'")
        }
      }
      files += shard.files
      format = shard.format
    }
    for (name, fileName) in fileNames.sorted(by: { $0.key < $1.key }) {
      guard tensors[name]?.file.path.lastComponent?.string == fileName else {
        throw .damagedIndex(
          path: path, problem: "tensor '\(name)' is not in '\(fileName)', where the index has it")
      }
    }
    return StoredTensors(format: format, files: files, tensors: tensors)
  }
}
