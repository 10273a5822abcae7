/// A tokenizer as data, before it is written into its stored form.
///
/// Every tokenizer is normalizers → pre-tokenizers → a model → a post-processor, and decoders for the
/// way back. Importers fill in this description, `SerializedTokenizerWriter` stores it, and the
/// encoder interprets what is stored. A new kind of tokenizer is a new kind of step or model and the
/// code that interprets it.
struct TokenizerDescription {
  /// Normalizers, pre-tokenizers, the model's parameters and decoders, each in their order.
  var steps: [TokenizerStep] = []
  var model: Model
  var options: TokenizerOptions = []
  /// One per id; an id that the vocabulary leaves out has an empty piece.
  var pieces: [Piece] = []
  /// The token of a lone byte, or -1. Byte-level BPE: the first symbols of a word. Scored BPE: what
  /// stands in for the bytes of a character outside the vocabulary.
  var byteTokens = [Int32](repeating: -1, count: 256)
  /// Lower ranks merge first; equal ranks from left to right.
  var merges: [Merge] = []
  var addedTokens: [AddedToken] = []
  var unknown: Int32?
  var beginOfSequence: Int32?
  var endOfSequence: Int32?
  /// The post-processor: ids that stand before and after every text.
  var prefix: [Int32] = []
  var suffix: [Int32] = []

  struct Piece {
    var bytes: [UInt8] = []
    var flags: PieceFlags = .unused
  }

  struct Merge {
    var left: Int32
    var right: Int32
    var rank: UInt32
    var result: Int32
  }

  struct AddedToken {
    var id: Int32
    var flags: AddedTokenFlags
    /// The bytes of the text that stands for it, where they are not its piece's.
    var pattern: [UInt8]?
  }
}

/// How a part becomes tokens.
enum Model: UInt8, CaseIterable {
  /// The first symbols are the tokens of single bytes.
  case byteLevelBPE = 1
  /// The first symbols are the pieces of single characters.
  case scoredBPE = 2
  /// The most likely pieces.
  case unigram = 3
  /// The longest pieces from the left.
  case wordPiece = 4
  /// Each word is a piece.
  case wordLevel = 5
}

struct TokenizerOptions: OptionSet {
  let rawValue: UInt32
  /// Version 1 only: each part between added tokens that does not begin with a space gets one.
  static let addsPrefixSpace = TokenizerOptions(rawValue: 1 << 0)
  /// A word that is a piece of the vocabulary is that token, whatever the merges would do.
  static let ignoresMerges = TokenizerOptions(rawValue: 1 << 1)
  /// Neighbouring unknown symbols become one unknown token.
  static let fusesUnknown = TokenizerOptions(rawValue: 1 << 2)
  /// The space that begins the piece after the beginning of the sequence is not part of the text.
  static let stripsLeadingSpace = TokenizerOptions(rawValue: 1 << 3)
  /// Unigram: SentencePiece's arithmetic, in 32 bits.
  static let usesSinglePrecision = TokenizerOptions(rawValue: 1 << 4)
  /// Unigram: the bytes of what is unknown stand in for it.
  static let fallsBackToBytes = TokenizerOptions(rawValue: 1 << 5)
  static let known: UInt32 = 0b111111
}

struct PieceFlags: OptionSet {
  let rawValue: UInt8
  /// Control token: not printed.
  static let special = PieceFlags(rawValue: 1 << 0)
  /// The model turns exactly this piece's bytes into this one token, so no merging is needed.
  static let whole = PieceFlags(rawValue: 1 << 1)
  /// The piece can be looked up by its bytes.
  static let lookup = PieceFlags(rawValue: 1 << 2)
  /// No token has this id.
  static let unused = PieceFlags(rawValue: 1 << 3)
  /// Unigram: chosen wherever it stands in a text.
  static let userDefined = PieceFlags(rawValue: 1 << 4)
  static let known: UInt8 = 0b11111
}

/// As in Hugging Face's AddedToken.
struct AddedTokenFlags: OptionSet {
  let rawValue: UInt32
  static let special = AddedTokenFlags(rawValue: 1 << 0)
  /// Searched for after the others, in what they leave.
  static let normalized = AddedTokenFlags(rawValue: 1 << 1)
  /// Not inside a word.
  static let singleWord = AddedTokenFlags(rawValue: 1 << 2)
  /// Takes the white space before it along.
  static let stripsLeft = AddedTokenFlags(rawValue: 1 << 3)
  /// Takes the white space behind it along.
  static let stripsRight = AddedTokenFlags(rawValue: 1 << 4)
  static let known: UInt32 = 0b11111
}
