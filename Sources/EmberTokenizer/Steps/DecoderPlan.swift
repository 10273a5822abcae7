/// What becomes of a token's piece on its way to text, as far as one token by itself decides it.
///
/// The decoders of a tokenizer are a chain over all tokens. Each that is supported looks at one
/// token and whether it is the first; behind `fuse`, only stripping from the start of the whole text
/// is. So text can be handed out as the tokens come.
struct DecoderPlan: Sendable {
  private(set) var steps: [Step] = []
  private(set) var turnsBytePiecesIntoBytes = false
  /// How many of the character go from the start of the text.
  private(set) var stripped: (bytes: [UInt8], count: Int) = ([], 0)
  /// SentencePiece: so many of each token, until the text has begun.
  private(set) var stripsEachToken = false

  enum Step: Sendable {
    case replace(TextPattern, with: [UInt8])
    case strip([UInt8], start: Int, end: Int)
    case metaspace([UInt8], firstLosesIt: Bool)
    case wordPiece(prefix: [UInt8], cleans: Bool)
    case spaces
  }

  var isPlain: Bool { steps.isEmpty && !turnsBytePiecesIntoBytes && stripped.count == 0 }

  init(_ all: [TokenizerStep]) throws(StepFailure) {
    var isFused = false
    for step in all {
      switch step.kind {
      case .decodeReplace:
        guard !isFused else { throw StepFailure("no replacement behind a fuse") }
        try StepFailure.expectText(step.second)
        steps.append(
          .replace(
            try TextPattern(step.first, isExpression: step.flags & 1 != 0), with: step.second))
      case .decodeBytes: turnsBytePiecesIntoBytes = true
      case .decodeFuse: isFused = true
      case .decodeStrip:
        try StepFailure.expectText(step.first)
        guard !step.first.isEmpty, let start = TokenizerStep.word(step.second, 0),
          let end = TokenizerStep.word(step.second, 4)
        else { throw StepFailure("a character to strip, and two counts") }
        if isFused {
          guard end == 0, stripped.count == 0 else {
            throw StepFailure("stripping from the start only, behind a fuse")
          }
          stripped = (step.first, Int(start))
          stripsEachToken = step.flags & 1 != 0
        } else {
          steps.append(.strip(step.first, start: Int(start), end: Int(end)))
        }
      case .decodeMetaspace:
        guard !step.first.isEmpty else { throw StepFailure("a replacement") }
        steps.append(.metaspace(step.first, firstLosesIt: step.flags & 1 != 0))
      case .decodeWordPiece:
        steps.append(.wordPiece(prefix: step.first, cleans: step.flags & 1 != 0))
      case .decodeSpaces: steps.append(.spaces)
      default: break
      }
    }
  }

  /// - Parameter isFirst: whether it is the first token of the text.
  func bytes(_ piece: [UInt8], isFirst: Bool) -> [UInt8] {
    var bytes = piece
    for step in steps {
      switch step {
      case .replace(let pattern, let content):
        // An expression reads characters; some pieces are bytes only.
        if case .expression = pattern, String(validating: bytes, as: UTF8.self) == nil { continue }
        bytes = bytes.withUnsafeBufferPointer { pattern.replace($0, with: content) } ?? bytes
      case .strip(let character, let start, let end):
        var rest = bytes[...]
        for _ in 0..<start where rest.starts(with: character) {
          rest = rest.dropFirst(character.count)
        }
        for _ in 0..<end where rest.suffix(character.count).elementsEqual(character) {
          rest = rest.dropLast(character.count)
        }
        bytes = Array(rest)
      case .metaspace(let replacement, let firstLosesIt):
        let content: [UInt8] = isFirst && firstLosesIt ? [] : [UInt8(ascii: " ")]
        bytes =
          bytes.withUnsafeBufferPointer {
            TextPattern.literal(replacement).replace($0, with: content)
          } ?? bytes
      case .wordPiece(let prefix, let cleans):
        if !isFirst {
          if !prefix.isEmpty && bytes.starts(with: prefix) {
            bytes.removeFirst(prefix.count)
          } else {
            bytes.insert(UInt8(ascii: " "), at: 0)
          }
        }
        if cleans { bytes = Self.cleaned(bytes) }
      case .spaces:
        if !isFirst { bytes.insert(UInt8(ascii: " "), at: 0) }
      }
    }
    return bytes
  }

  /// The value of a piece `<0x00>` … `<0xFF>`, or nil.
  static func byteValue(_ piece: UnsafeBufferPointer<UInt8>) -> UInt8? {
    guard piece.count == 6, piece[0] == UInt8(ascii: "<"), piece[1] == UInt8(ascii: "0"),
      piece[2] == UInt8(ascii: "x"), piece[5] == UInt8(ascii: ">"),
      let high = Character(Unicode.Scalar(piece[3])).hexDigitValue,
      let low = Character(Unicode.Scalar(piece[4])).hexDigitValue
    else { return nil }
    return UInt8(high << 4 | low)
  }

  /// BERT's way of making English look right again.
  private static let cleanups: [([UInt8], [UInt8])] = [
    (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"),
    (" 'm", "'m"), (" do not", " don't"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
  ].map { (Array($0.utf8), Array($1.utf8)) }

  private static func cleaned(_ bytes: [UInt8]) -> [UInt8] {
    guard bytes.contains(UInt8(ascii: " ")) else { return bytes }
    var bytes = bytes
    for (pattern, content) in cleanups {
      bytes =
        bytes.withUnsafeBufferPointer { TextPattern.literal(pattern).replace($0, with: content) }
        ?? bytes
    }
    return bytes
  }
}
