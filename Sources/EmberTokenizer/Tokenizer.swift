/// Text → token ids and back, for one model.
///
///     let tokenizer = try Tokenizer.llama2c(contentsOf: "tokenizer.bin", vocabularySize: 32000)
///     let ids = tokenizer.encode("Once upon a time")
///     let text = tokenizer.decode(ids)
///
/// A tokenizer is a stored form (formats/tokenizer.md) and nothing else: tables of pieces and merges
/// that are used where they lie. Importers make the form from a checkpoint's own files once; the
/// model file carries it; opening it is one linear check, with no parsing and no building.
///
/// Encoding is normalizers → pre-tokenizers → model → post-processor, each named in the form. The
/// models there are: byte-level BPE (Radford et al. 2019), scored BPE (SentencePiece's, Kudo &
/// Richardson 2018), Unigram (Kudo 2018), WordPiece (Schuster & Nakajima 2012) and word level. What
/// the steps do is what Hugging Face's `tokenizers`, SentencePiece and tiktoken do (docs/tokenizers.md).
///
/// It is not a chat template.
public struct Tokenizer: Sendable {
  let storage: [UInt8]
  let layout: SerializedLayout
  let pipeline: TokenizerPipeline

  /// Opens a stored form. Complexity: O(bytes), some milliseconds for 128,000 tokens.
  ///
  /// - Throws: `notATokenizer`, `unsupportedVersion`, `invalidForm`.
  public init(serialized bytes: [UInt8]) throws(TokenizerError) {
    layout = try SerializedLayout(bytes)
    pipeline = try TokenizerPipeline(bytes, layout)
    storage = bytes
  }

  /// The stored form; the same bytes for the same input.
  public func serialized() -> [UInt8] { storage }

  /// The highest id plus one.
  public var vocabularySize: Int { layout.pieceCount }
  public var beginOfSequence: Int32? { layout.beginOfSequence }
  public var endOfSequence: Int32? { layout.endOfSequence }

  /// Whether a text begins with `beginOfSequence` unless told otherwise.
  public var addsBeginOfSequence: Bool {
    withView { view in
      guard let begin = layout.beginOfSequence else { return false }
      return view.prefix.contains(begin)
    } ?? false
  }

  /// For display: "byte-level BPE, 4096 tokens".
  public var kindDescription: String {
    let kind =
      switch layout.model {
      case .byteLevelBPE: "byte-level BPE"
      case .scoredBPE:
        (withView { $0.byteToken(0) } ?? -1) >= 0
          ? "scored BPE with byte fallback" : "scored BPE without byte fallback"
      case .unigram: "Unigram"
      case .wordPiece: "WordPiece"
      case .wordLevel: "word level"
      }
    return "\(kind), \(vocabularySize) tokens"
  }

  /// Whether the id is a control token (beginning or end of sequence, …), which is not printed.
  public func isSpecial(_ id: Int32) -> Bool {
    flags(id)?.contains(.special) ?? false
  }

  /// Encodes the texts that the form carries and compares with the ids it carries: it shows that
  /// this build reads the form as the one that wrote it.
  ///
  /// - Throws: `selfCheckFailed` with the first text that differs.
  public func selfCheck() throws(TokenizerError) {
    for check in SerializedReader(storage).selfChecks(layout) {
      let found = encode(check.text, addingBeginOfSequence: false)
      if found != check.ids {
        throw .selfCheckFailed(text: check.text, expected: check.ids, found: found)
      }
    }
  }

  /// nil only if there are no bytes, which no layout allows.
  func withView<Result>(_ body: (UnsafeTokenizerView) -> Result) -> Result? {
    storage.withUnsafeBytes { bytes in UnsafeTokenizerView(bytes, layout).map(body) }
  }

  /// The flags of an id, or nil if it is not in the vocabulary.
  func flags(_ id: Int32) -> PieceFlags? {
    guard id >= 0, Int(id) < layout.pieceCount else { return nil }
    return withView { $0.flags(id) }
  }
}
