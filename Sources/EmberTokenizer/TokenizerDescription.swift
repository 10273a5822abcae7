/// A tokenizer as data, before it is written into its stored form.
///
/// Every tokenizer is the same four steps: normalizer → pre-tokenizer → model → post-processor.
/// Importers fill in this description, `SerializedTokenizerWriter` stores it, and the encoder
/// interprets what is stored. A new kind of tokenizer is a new case of one of the enumerations below
/// and the code that interprets it.
struct TokenizerDescription {
  var normalizer = Normalizer.none
  var preTokenizer = PreTokenizer.wholeText
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
  }
}

/// What happens to a text before it is split.
enum Normalizer: UInt8, CaseIterable {
  case none = 0
  /// A text that is not empty gets a space before it (SentencePiece's `add_dummy_prefix`).
  case leadingSpace = 1
}

/// Where a text is split before the model sees its parts; no token reaches across.
enum PreTokenizer: UInt8, CaseIterable {
  case wholeText = 0
  /// GPT-2's expression.
  case gpt2 = 1
  /// Before each space that follows something else. Changes no result where no piece has a space
  /// behind anything else, and keeps the words short; the importer checks that it holds.
  case beforeSpaces = 2
}

/// How a part becomes tokens.
enum Model: UInt8, CaseIterable {
  /// The first symbols are the tokens of single bytes.
  case byteLevelBPE = 1
  /// The first symbols are the pieces of single characters.
  case scoredBPE = 2
}

struct TokenizerOptions: OptionSet {
  let rawValue: UInt32
  /// Each part between added tokens that does not begin with a space gets one.
  static let addsPrefixSpace = TokenizerOptions(rawValue: 1 << 0)
  /// A word that is a piece of the vocabulary is that token, whatever the merges would do.
  static let ignoresMerges = TokenizerOptions(rawValue: 1 << 1)
  /// Neighbouring unknown symbols become one unknown token.
  static let fusesUnknown = TokenizerOptions(rawValue: 1 << 2)
  /// The space that begins the piece after the beginning of the sequence is not part of the text.
  static let stripsLeadingSpace = TokenizerOptions(rawValue: 1 << 3)
  static let known: UInt32 = 0b1111
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
  static let known: UInt8 = 0b1111
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
