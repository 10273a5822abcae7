import SystemPackage

/// The tensors of a checkpoint in one safetensors file or several.
struct SafetensorsWeights: Sendable {
  struct Entry: Sendable {
    let shard: Int
    let record: SafetensorsHeader.Record
  }

  /// Sorted by name.
  let shards: [SafetensorsFile]
  let entries: [String: Entry]

  static let indexName = "model.safetensors.index.json"
  /// Larger than the index of any model: 150,000 tensors take less.
  private static let indexLimit = 16 << 20

  /// Opens a single file.
  init(file path: FilePath) throws(CheckpointError) {
    let shard = try SafetensorsFile(opening: path)
    shards = [shard]
    entries = shard.header.records.mapValues { Entry(shard: 0, record: $0) }
  }

  /// Opens the shards that an index lists; they lie beside it.
  init(index path: FilePath) throws(CheckpointError) {
    let names = try Self.weightMap(of: path)
    let fileNames = Set(names.values).sorted()
    var shards: [SafetensorsFile] = []
    var entries: [String: Entry] = [:]
    for (position, fileName) in fileNames.enumerated() {
      // A name with a separator could lead anywhere on this machine.
      guard let component = FilePath.Component(fileName), component.kind == .regular else {
        throw .damagedIndex(
          path: path, problem: "expected plain file names, found '\(fileName)'")
      }
      let shard = try SafetensorsFile(opening: path.removingLastComponent().appending(component))
      for (name, record) in shard.header.records {
        guard entries.updateValue(Entry(shard: position, record: record), forKey: name) == nil
        else {
          throw .damagedIndex(path: path, problem: "two shards hold the tensor '\(name)'")
        }
      }
      shards.append(shard)
    }
    for (name, fileName) in names.sorted(by: { $0.key < $1.key }) {
      guard let entry = entries[name], fileNames[entry.shard] == fileName else {
        throw .damagedIndex(
          path: path, problem: "tensor '\(name)' is not in '\(fileName)', where the index has it")
      }
    }
    self.shards = shards
    self.entries = entries
  }

  /// Which file each tensor is in.
  static func weightMap(of path: FilePath) throws(CheckpointError) -> [String: String] {
    struct Index: Decodable {
      let weightMap: [String: String]
      enum CodingKeys: String, CodingKey { case weightMap = "weight_map" }
    }
    let text = try CheckpointFile.contents(of: path, limit: indexLimit)
    do throws(JSONProblem) {
      let names = try decodeJSON(Index.self, from: text).weightMap
      guard !names.isEmpty else { throw JSONProblem(text: "expected a weight_map, found none") }
      return names
    } catch {
      throw .damagedIndex(path: path, problem: error.text)
    }
  }
}
