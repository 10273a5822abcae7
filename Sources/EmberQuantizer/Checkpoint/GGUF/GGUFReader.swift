import EmberModel
import EmberTokenizer
import SystemPackage

/// Opens a GGUF file: model, tokenizer and chat template in one.
enum GGUFReader {
  static func open(
    _ path: FilePath, name: String, tokenizer: TokenizerSource?
  ) throws(CheckpointError) -> Checkpoint {
    let file = try GGUFFile(opening: path)
    let metadata = try GGUFMetadata(file)
    if let pieces = file.metadata["split.count"], pieces != .integer(1), pieces != .integer(0) {
      throw .unsupportedFormat(
        path: path, found: "a GGUF checkpoint in several files (join them with llama-gguf-split)")
    }
    let weights = file.storedTensors
    let (architecture, names) = try GGUFArchitecture.named(by: metadata)
      .describe(GGUFModel(metadata: metadata, tensors: weights))
    // Before its tensors are listed: there would be nine for each of a billion layers.
    if let problem = architecture.inconsistency {
      throw .invalidValue(
        path: path, key: "metadata", expected: "a model that can be run", found: problem)
    }
    let found = try HuggingFaceTensors(
      architecture: architecture, names: names, weights: weights, source: path,
      configurationPath: path)

    var warnings = found.warnings
    let storedTypes = Set(found.tensors.map(\.storage.type))
    let quantized = storedTypes.filter(\.isQuantized).map(\.rawValue).sorted()
    if !quantized.isEmpty {
      warnings.append(
        "the weights are stored as \(quantized.joined(separator: ", ")): quantizing them again"
          + " costs quality; convert the original checkpoint where there is one")
    }
    func tokenID(_ key: String) -> Int? {
      guard case .integer(let id)? = file.metadata["tokenizer.ggml." + key] else { return nil }
      guard (0..<architecture.vocabularySize).contains(id) else {
        warnings.append("\(key) \(id) is outside of the vocabulary and ignored")
        return nil
      }
      return id
    }
    let beginOfSequence = tokenID("bos_token_id")
    let endOfSequence = tokenID("eos_token_id")
    let endOfTurn = tokenID("eot_token_id")
    var checkpoint = Checkpoint(
      architecture: architecture,
      tensors: found.tensors,
      tokenizerSource: tokenizer
        ?? GGUFVocabulary(file.metadata).map { .gguf($0, file: path) },
      beginOfSequence: beginOfSequence,
      endOfSequence: endOfSequence,
      provenance: CheckpointProvenance(
        format: weights.format, name: name, files: [path.lastComponent?.string ?? name],
        byteCount: file.file.size, storedTypes: storedTypes.map(\.rawValue).sorted()),
      warnings: warnings)
    if case .string(let template)? = file.metadata["tokenizer.chat_template"] {
      checkpoint.chatTemplate = String(decoding: template, as: UTF8.self)
    }
    let stops = Set([endOfSequence, endOfTurn].compactMap { $0 })
    checkpoint.stopTokens = stops.count > 1 ? stops.sorted() : []
    return checkpoint
  }
}
