/// One step of a tokenizer as the stored form holds it: a kind, flags, and two byte strings whose
/// meaning depends on the kind (formats/tokenizer.md).
struct TokenizerStep: Equatable, Sendable {
  var kind: Kind
  var flags: UInt8 = 0
  var first: [UInt8] = []
  var second: [UInt8] = []

  /// Steps run in the order of the form; each stage takes those of its own range.
  enum Kind: UInt8, CaseIterable, Sendable {
    // Normalizers.
    case nfc = 1
    case nfd = 2
    case nfkc = 3
    case nfkd = 4
    case lowercase = 5
    /// Flags: 1 left, 2 right.
    case strip = 6
    case stripAccents = 7
    /// First: the pattern, second: what stands in for it. Flags: 1 the pattern is an expression.
    case replace = 8
    /// First: what goes before a text that is not empty.
    case prepend = 9
    /// First: what goes behind a text that is not empty.
    case append = 10
    /// Flags: 1 cleans, 2 spaces around Chinese characters, 4 strips accents, 8 lower case.
    case bert = 11
    case nmt = 12
    /// First: SentencePiece's character map, applied as `tokenizers` does.
    case precompiled = 13
    /// First: the character map, or nothing; second: symbols that stay as they are, each with 0
    /// behind it. Flags: `SentencePieceNormalizer.Options`.
    case sentencePiece = 14

    // Pre-tokenizers.
    /// GPT-2's expression.
    case gpt2Words = 64
    /// Llama 3's and Qwen2's. Flags: the most digits of a word.
    case llama3Words = 65
    /// First: the pattern. Flags: 1 the pattern is an expression, 2 inverted, 4 × behavior.
    case split = 66
    /// Flags: 1 each digit by itself.
    case digits = 67
    /// Flags: 4 × behavior.
    case punctuation = 68
    case whitespace = 69
    case whitespaceSplit = 70
    case bertWords = 71
    /// First: the replacement. Flags: 1 splits, 2 always, 4 first.
    case metaspace = 72
    /// A part that does not begin with a space gets one.
    case prefixSpace = 73
    /// From here on each byte is a character of GPT-2's alphabet.
    case byteAlphabet = 74
    /// Before each run of the characters `first`. Changes no result where the vocabulary reaches
    /// across no such place, and keeps the words short; the importer checks that it holds.
    case beforeRuns = 75

    // The model's parameters.
    /// First: an f64 for each piece.
    case scores = 128
    /// First: what continuing pieces begin with; second: u32, the longest word in characters.
    case wordPiece = 129
    /// First: u32 id, then the bytes that an added token is searched for by, where they are not its
    /// piece's.
    case addedPattern = 130

    // Decoders.
    /// As `replace`.
    case decodeReplace = 192
    /// Pieces `<0x00>` … are bytes.
    case decodeBytes = 193
    /// The steps that follow see the text as a whole.
    case decodeFuse = 194
    /// First: the character; second: u32 how many at the start, u32 at the end.
    case decodeStrip = 195
    /// First: the replacement. Flags: 1 the first token loses it.
    case decodeMetaspace = 196
    /// First: what continuing pieces begin with. Flags: 1 cleans up.
    case decodeWordPiece = 197
    /// A space between tokens.
    case decodeSpaces = 198
  }
}

/// What becomes of the matches when a text is split at them (`SplitDelimiterBehavior`).
enum SplitBehavior: UInt8, CaseIterable {
  case removed = 0
  case isolated = 1
  case mergedWithPrevious = 2
  case mergedWithNext = 3
  case contiguous = 4
}
