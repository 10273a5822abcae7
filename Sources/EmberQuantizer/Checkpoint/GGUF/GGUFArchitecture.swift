import EmberModel

/// One architecture as GGUF files spell it: how their metadata describes the model, and what its
/// tensors are called.
///
/// A new architecture is a new value of this type and a line in `known`.
struct GGUFArchitecture: Sendable {
  /// What `general.architecture` says.
  let name: String
  /// Reads the metadata; refuses what the runtime does not compute.
  let describe: @Sendable (GGUFModel) throws(CheckpointError) -> (Architecture, TensorNameMap)

  /// All that Ember reads.
  static let known: [GGUFArchitecture] = [
    .llama, .qwen2, .qwen2Moe, .qwen3, .qwen3Moe, .gemma, .gemma2, .gemma3, .phi3, .gptNeoX, .gpt2,
    .bloom,
  ]

  /// The one that the metadata names.
  static func named(by metadata: GGUFMetadata) throws(CheckpointError) -> GGUFArchitecture {
    guard let architecture = known.first(where: { $0.name == metadata.architecture }) else {
      throw .unknownArchitecture(
        path: metadata.path, found: metadata.architecture, known: known.map(\.name))
    }
    return architecture
  }
}
