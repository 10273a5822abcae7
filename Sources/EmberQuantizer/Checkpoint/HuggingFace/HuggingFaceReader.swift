import EmberModel
import SystemPackage

/// Opens a Hugging Face folder: `config.json`, safetensors, and `tokenizer.json` if there is one.
enum HuggingFaceReader {
  static let configurationName = "config.json"
  static let weightsName = "model.safetensors"
  static let tokenizerName = "tokenizer.json"

  /// - Parameter weightsFile: the file to take instead of the folder's own choice; one that the
  ///   index lists as a shard stands for the whole of them.
  static func open(
    folder: FilePath, weightsFile: FilePath?, name: String, tokenizer: TokenizerSource?
  ) throws(CheckpointError) -> Checkpoint {
    let configuration = try HuggingFaceConfiguration(
      opening: folder.appending(configurationName))
    if let model = try HuggingFaceEncoderDecoder.named(by: configuration) {
      let weights = try openWeights(folder: folder, weightsFile: weightsFile)
      let described = try model.describe(configuration, weights)
      let found = try ListedTensors(
        described.tensors, in: weights, source: folder, ignoredPrefixes: described.ignoredPrefixes)
      return try checkpoint(
        described.architecture, found.tensors, warnings: found.warnings, of: weights, name: name,
        configuration, tokenizer: tokenizer ?? tokenizerBeside(folder))
    }
    let (architecture, names) = try HuggingFaceArchitecture.named(by: configuration)
      .describe(configuration)
    let weights = try openWeights(folder: folder, weightsFile: weightsFile)
    let found = try HuggingFaceTensors(
      architecture: architecture, names: names, weights: weights, source: folder,
      configurationPath: configuration.path)
    return try checkpoint(
      architecture, found.tensors, warnings: found.warnings, of: weights, name: name,
      configuration, tokenizer: tokenizer ?? tokenizerBeside(folder))
  }

  private static func checkpoint(
    _ architecture: Architecture, _ tensors: [CheckpointTensor], warnings: [String],
    of weights: StoredTensors, name: String, _ configuration: HuggingFaceConfiguration,
    tokenizer: TokenizerSource?
  ) throws(CheckpointError) -> Checkpoint {
    var warnings = warnings
    func tokenID(_ key: String) throws(CheckpointError) -> Int? {
      guard let id = try configuration.tokenID(key) else { return nil }
      guard (0..<architecture.vocabularySize).contains(id) else {
        warnings.append("\(key) \(id) is outside of the vocabulary and ignored")
        return nil
      }
      return id
    }
    let beginOfSequence = try tokenID("bos_token_id")
    let endOfSequence = try tokenID("eos_token_id")
    return Checkpoint(
      architecture: architecture,
      tensors: tensors,
      tokenizerSource: tokenizer,
      beginOfSequence: beginOfSequence,
      endOfSequence: endOfSequence,
      provenance: CheckpointProvenance(
        format: weights.format, name: name,
        files: weights.files.compactMap { $0.path.lastComponent?.string },
        byteCount: weights.files.reduce(0) { $0 + $1.size },
        storedTypes: Set(tensors.map(\.storedType)).sorted()),
      warnings: warnings)
  }

  private static func openWeights(
    folder: FilePath, weightsFile: FilePath?
  ) throws(CheckpointError) -> StoredTensors {
    let index = folder.appending(SafetensorsWeights.indexName)
    if let weightsFile {
      if PathKind(of: index) == .file, let component = weightsFile.lastComponent,
        try ShardIndex(opening: index).fileNames.values.contains(component.string)
      {
        return try SafetensorsWeights.open(index: index)
      }
      return try SafetensorsWeights.open(file: weightsFile)
    }
    // Where both are there, transformers takes the single file; so do we.
    let single = folder.appending(weightsName)
    if PathKind(of: single) != .nothing { return try SafetensorsWeights.open(file: single) }
    if PathKind(of: index) != .nothing { return try SafetensorsWeights.open(index: index) }
    for other in ["pytorch_model.bin", "pytorch_model.bin.index.json"] {
      let path = folder.appending(other)
      if PathKind(of: path) != .nothing {
        throw .unsupportedFormat(path: path, found: "a PyTorch checkpoint (pickle)")
      }
    }
    throw .noWeights(folder: folder)
  }

  private static func tokenizerBeside(_ folder: FilePath) -> TokenizerSource? {
    let path = folder.appending(tokenizerName)
    if PathKind(of: path) == .file { return .huggingFace(path) }
    // Marian's translators have no file for both sides.
    let marian = [
      TokenizerSource.marianSource, TokenizerSource.marianTarget, TokenizerSource.marianVocabulary,
    ]
    let isComplete = marian.allSatisfy { PathKind(of: folder.appending($0)) == .file }
    return isComplete ? .marian(folder) : nil
  }
}
