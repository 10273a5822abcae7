/// The vocabulary in a GGUF file's metadata (`tokenizer.ggml.*`), as plain values.
///
///     var vocabulary = GGUFVocabulary(model: "gpt2", tokens: tokens)
///     vocabulary.preTokenizer = "llama-bpe"
///     vocabulary.merges = merges
///     let tokenizer = try Tokenizer.gguf(vocabulary, path: "model.gguf")
///
/// Whoever reads the container fills it in, one property for each key; what the file leaves out
/// stays nil or empty, and `Tokenizer.gguf` knows what each kind of model then does. Nothing here is
/// checked: `Tokenizer.gguf` does that.
public struct GGUFVocabulary: Sendable, Equatable {
  /// `tokenizer.ggml.model`: "gpt2", "llama", "bert", "t5", …
  public var model: String
  /// `tokenizer.ggml.pre`: "llama-bpe", "qwen2", …; nil where the file has none.
  public var preTokenizer: String?
  /// `tokenizer.ggml.tokens`: the bytes of each token's text; they need not be UTF-8.
  public var tokens: [[UInt8]]
  /// `tokenizer.ggml.scores`; empty, or one for each token.
  public var scores: [Float] = []
  /// `tokenizer.ggml.token_type`: 1 normal, 2 unknown, 3 control, 4 user defined, 5 unused, 6 byte;
  /// empty (all normal), or one for each token.
  public var tokenTypes: [Int32] = []
  /// `tokenizer.ggml.merges`: "left right", first to merge first.
  public var merges: [[UInt8]] = []

  /// `tokenizer.ggml.bos_token_id` and the others like it.
  public var beginOfSequence: Int?
  public var endOfSequence: Int?
  public var unknown: Int?
  /// `seperator_token_id`; the format spells it so.
  public var separator: Int?
  public var padding: Int?
  /// `cls_token_id`
  public var classification: Int?
  public var mask: Int?

  /// `tokenizer.ggml.add_bos_token` and the others like it.
  public var addsBeginOfSequence: Bool?
  public var addsEndOfSequence: Bool?
  public var addsSpacePrefix: Bool?
  public var removesExtraWhitespaces: Bool?

  /// `tokenizer.ggml.precompiled_charsmap`: SentencePiece's character map; empty if there is none.
  public var precompiledCharacterMap: [UInt8] = []

  public init(model: String, tokens: [[UInt8]]) {
    self.model = model
    self.tokens = tokens
  }
}
