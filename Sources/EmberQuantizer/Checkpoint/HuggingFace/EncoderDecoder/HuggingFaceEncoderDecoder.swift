import EmberModel
import SystemPackage

/// An encoder–decoder as Hugging Face checkpoints spell it: what its configuration describes, and
/// where its tensors are.
///
/// A new one is a new value of this type in a file of its own and a line in `known`.
struct HuggingFaceEncoderDecoder: Sendable {
  /// What `architectures` in `config.json` says.
  let name: String
  /// Reads the configuration; refuses what the runtime does not compute.
  let describe:
    @Sendable (HuggingFaceConfiguration, StoredTensors) throws(CheckpointError) -> Description

  /// A model and its tensors, in the order of a model file.
  struct Description {
    var architecture: Architecture
    var tensors: TensorList
    /// Beginnings of the names of tensors that are no weights of the model and may be there.
    var ignoredPrefixes: [String] = []
  }

  /// All that Ember reads.
  static let known: [HuggingFaceEncoderDecoder] = [.t5, .marian]

  /// The tokenizer that was found, with what a SentencePiece model does not say of T5's.
  func tokenizer(
    _ found: TokenizerSource?, in folder: FilePath
  ) throws(CheckpointError) -> TokenizerSource? {
    guard name == Self.t5.name, case .other(let path) = found else { return found }
    return .sentinels(path, count: try HuggingFaceGeneration.sentinelCount(folder: folder))
  }

  /// The one that a configuration names, if it is an encoder–decoder.
  static func named(
    by configuration: HuggingFaceConfiguration
  ) throws(CheckpointError) -> HuggingFaceEncoderDecoder? {
    let name = try configuration.architectureName()
    return known.first { $0.name == name }
  }
}

extension HuggingFaceConfiguration {
  /// The token that a target begins with: its own key, or the padding.
  func decoderStart(vocabularySize: Int) throws(CheckpointError) -> Int {
    let key = value("decoder_start_token_id") == nil ? "pad_token_id" : "decoder_start_token_id"
    guard let id = try tokenID(key) else {
      throw .missingKey(path: path, key: "decoder_start_token_id")
    }
    guard (0..<vocabularySize).contains(id) else {
      throw invalid(key, expected: "a token id of the vocabulary, 0 to \(vocabularySize - 1)")
    }
    return id
  }

  /// Tokens that may not be generated, of `bad_words_ids` those entries that are a single one.
  func suppressedTokens(vocabularySize: Int) throws(CheckpointError) -> [Int] {
    guard let value = value("bad_words_ids") else { return [] }
    guard case .array(let words) = value else {
      throw invalid("bad_words_ids", expected: "an array of arrays of token ids")
    }
    var ids: [Int] = []
    for word in words {
      guard case .array(let tokens) = word, tokens.count == 1, case .integer(let id) = tokens[0],
        (0..<vocabularySize).contains(id)
      else {
        throw .unsupportedSetting(
          path: path, key: "bad_words_ids", found: word.description,
          supported: "arrays of one token id each, 0 to \(vocabularySize - 1)")
      }
      ids.append(id)
    }
    return ids
  }
}
