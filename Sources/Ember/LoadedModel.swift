/// A model file ready for text: its weights and its tokenizer, both checked.
///
/// ```swift
/// let loaded = try LoadedModel(opening: "model.q4")
/// let result = try loaded.generator().generate(
///   prompt: "Once upon a time", options: .init(maximumTokens: 64)
/// ) { print($0, terminator: "") }
/// ```
///
/// It is immutable and may be shared by any number of sessions and threads. The weights stay in
/// the file, mapped; the tokenizer is in memory.
public struct LoadedModel: Sendable {
  public let model: Model
  public let tokenizer: Tokenizer
  /// Of an encoder–decoder's targets, where it is another than that of its sources.
  public let targetTokenizer: Tokenizer?

  /// Maps the file; takes milliseconds whatever its size.
  ///
  /// - Parameter verifyingChecksums: also reads every weight and compares its checksum.
  /// - Throws: `FormatError` for the file's structure, `ModelError` for what it says of the model,
  ///   `LoadingError` for its tokenizer.
  public init(opening path: FilePath, verifyingChecksums: Bool = false) throws {
    try self.init(file: try ModelFile(opening: path, verifyingChecksums: verifyingChecksums))
  }

  /// - Throws: `ModelError`, `LoadingError`
  public init(file: ModelFile) throws {
    model = try Model(file: file)
    do throws(TokenizerError) {
      (tokenizer, targetTokenizer) = try Tokenizer.pair(serialized: file.tokenizer)
      try tokenizer.selfCheck()
      try targetTokenizer?.selfCheck()
    } catch {
      throw LoadingError.tokenizer(file.path, error)
    }
    // Ids beyond the table would be found out only when a text happens to use them.
    let rows = model.architecture.vocabularySize
    let tokens = max(tokenizer.vocabularySize, targetTokenizer?.vocabularySize ?? 0)
    if tokens > rows {
      throw LoadingError.vocabularyMismatch(file.path, tokens: tokens, embeddingRows: rows)
    }
  }

  /// A generator with a session of its own.
  ///
  /// - Parameters:
  ///   - contextLength: positions to make room for; the model's own length by default.
  ///   - threads: workers; by default the physical cores that this process may use.
  ///   - cachePrecision: how keys and values are stored.
  /// - Throws: `ModelError.contextTooLong`, `.outOfMemory`
  public func generator(
    contextLength: Int? = nil, threads: Int? = nil, cachePrecision: CachePrecision = .half
  ) throws(ModelError) -> TextGenerator {
    TextGenerator(
      model: model, tokenizer: tokenizer,
      session: try InferenceSession(
        model: model, contextLength: contextLength, threads: threads,
        cachePrecision: cachePrecision))
  }
}

/// What can be wrong with the tokenizer inside a model file.
public enum LoadingError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The tokenizer cannot be read, or encodes otherwise than when the file was made.
  case tokenizer(FilePath, TokenizerError)
  /// The tokenizer has ids that the embedding table has no rows for.
  case vocabularyMismatch(FilePath, tokens: Int, embeddingRows: Int)

  public var description: String {
    switch self {
    case .tokenizer(let path, let error):
      "\(path): \(error)"
    case .vocabularyMismatch(let path, let tokens, let rows):
      "\(path): the tokenizer has \(tokens) tokens, expected at most \(rows), the rows of the"
        + " embedding table; convert the checkpoint again with its own tokenizer"
    }
  }
}
