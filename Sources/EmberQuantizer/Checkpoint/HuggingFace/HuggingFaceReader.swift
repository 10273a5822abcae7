import EmberModel
import SystemPackage

/// Opens a Hugging Face folder: `config.json`, safetensors or `pytorch_model.bin`, and what there is
/// of `tokenizer.json`, `generation_config.json` and a chat template.
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
        described.architecture, found.tensors, warnings: found.warnings, of: weights,
        folder: folder, name: name, configuration,
        tokenizer: try model.tokenizer(tokenizer ?? tokenizerBeside(folder), in: folder))
    }
    let (architecture, names) = try HuggingFaceArchitecture.named(by: configuration)
      .describe(configuration)
    let weights = try openWeights(folder: folder, weightsFile: weightsFile)
    let found = try HuggingFaceTensors(
      architecture: architecture, names: names, weights: weights, source: folder,
      configurationPath: configuration.path)
    return try checkpoint(
      architecture, found.tensors, warnings: found.warnings, of: weights, folder: folder,
      name: name, configuration, tokenizer: tokenizer ?? tokenizerBeside(folder))
  }

  private static func checkpoint(
    _ architecture: Architecture, _ tensors: [CheckpointTensor], warnings: [String],
    of weights: StoredTensors, folder: FilePath, name: String,
    _ configuration: HuggingFaceConfiguration, tokenizer: TokenizerSource?
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
    let stopTokens = try HuggingFaceGeneration.stopTokens(folder: folder, configuration)
      .filter((0..<architecture.vocabularySize).contains)
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
      warnings: warnings,
      chatTemplate: try HuggingFaceGeneration.chatTemplate(folder: folder),
      stopTokens: stopTokens)
  }

  private static func openWeights(
    folder: FilePath, weightsFile: FilePath?
  ) throws(CheckpointError) -> StoredTensors {
    let index = folder.appending(SafetensorsWeights.indexName)
    let torchIndex = folder.appending(TorchWeights.indexName)
    if let weightsFile {
      let isSafetensors = weightsFile.extension == "safetensors"
      let itsIndex = isSafetensors ? index : torchIndex
      let isShard =
        if PathKind(of: itsIndex) == .file, let component = weightsFile.lastComponent {
          try ShardIndex(opening: itsIndex).fileNames.values.contains(component.string)
        } else {
          false
        }
      switch (isSafetensors, isShard) {
      case (true, true): return try SafetensorsWeights.open(index: index)
      case (true, false): return try SafetensorsWeights.open(file: weightsFile)
      case (false, true): return try TorchWeights.open(index: torchIndex)
      case (false, false): return try TorchWeights.open(file: weightsFile)
      }
    }
    // Where several are there, transformers takes them in this order; so do we.
    let single = folder.appending(weightsName)
    if PathKind(of: single) != .nothing { return try SafetensorsWeights.open(file: single) }
    if PathKind(of: index) != .nothing { return try SafetensorsWeights.open(index: index) }
    let torch = folder.appending(TorchWeights.weightsName)
    if PathKind(of: torch) != .nothing { return try TorchWeights.open(file: torch) }
    if PathKind(of: torchIndex) != .nothing { return try TorchWeights.open(index: torchIndex) }
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
    if isComplete { return .marian(folder) }
    // SentencePiece's or tiktoken's own file, under the names that transformers writes.
    let others = ["tokenizer.model", "spiece.model"].map { folder.appending($0) }
    return others.first { PathKind(of: $0) == .file }.map { .other($0) }
  }
}
