/// The steps of a stored tokenizer, compiled when it is opened.
final class TokenizerPipeline: Sendable {
  let normalizers: [NormalizerStep]
  let preTokenizers: [PreTokenizer.Prepared]
  let decoder: DecoderPlan
  /// Raw ones first, each group in order of their bytes.
  let addedTokens: [AddedPattern]
  let rawAddedCount: Int
  /// For each byte, bit 0: a raw added token begins with it, bit 1: a normalized one.
  let addedFirstBytes: [UInt8]

  /// Unigram: one for each piece.
  let scores: [Double]
  let lowestScore: Double
  let highestScore: Double
  let hasUserDefined: Bool
  let continuingPrefix: [UInt8]
  let longestWord: Int
  /// Unigram and WordPiece: the pieces that text can become.
  let trie: SymbolTrie?

  struct AddedPattern: Sendable {
    let id: Int32
    let flags: AddedTokenFlags
    let bytes: [UInt8]
  }

  /// Real tokenizers have below ten.
  private static let stepLimit = 64

  /// - Throws: `invalidForm` naming the step.
  init(_ storage: [UInt8], _ layout: SerializedLayout) throws(TokenizerError) {
    let reader = SerializedReader(storage)
    let steps = layout.versionOneSteps + (try reader.steps(from: layout.steps, to: layout.stepsEnd))
    let patterns = steps.filter { $0.kind == .addedPattern }
    func failure(_ expected: String, _ found: String) -> TokenizerError {
      .invalidForm(at: layout.steps, expected: expected, found: found)
    }
    guard steps.count - patterns.count <= Self.stepLimit else {
      throw failure("at most \(Self.stepLimit) steps", "\(steps.count)")
    }

    var normalizers: [NormalizerStep] = []
    var preTokenizers: [PreTokenizer.Prepared] = []
    var isByteAlphabet = false
    var scores: [Double] = []
    var prefix: [UInt8] = []
    var longest = 100
    for step in steps {
      do throws(StepFailure) {
        if let normalizer = try NormalizerStep(step) { normalizers.append(normalizer) }
        let preTokenizer = try PreTokenizerStep(step, isByteAlphabet: isByteAlphabet)
        if let preTokenizer {
          let pattern = try PreTokenizerStep.pattern(step, isByteAlphabet: isByteAlphabet)
          preTokenizers.append(
            .init(step: preTokenizer, isByteAlphabet: isByteAlphabet, pattern: pattern))
        }
      } catch {
        throw failure(error.expected, "another step of kind \(step.kind.rawValue)")
      }
      switch step.kind {
      case .byteAlphabet: isByteAlphabet = true
      case .scores: scores = Self.scores(step.first)
      case .wordPiece:
        prefix = step.first
        longest = TokenizerStep.word(step.second, 0).map(Int.init) ?? longest
      default: break
      }
    }
    self.normalizers = normalizers
    self.preTokenizers = preTokenizers
    self.scores = scores
    continuingPrefix = prefix
    longestWord = longest
    do throws(StepFailure) {
      decoder = try DecoderPlan(steps)
    } catch {
      throw failure(error.expected, "another decoder")
    }
    (addedTokens, rawAddedCount) = try Self.addedTokens(reader, layout, patterns)
    var first = [UInt8](repeating: 0, count: 256)
    for (index, token) in addedTokens.enumerated() {
      first[Int(token.bytes[0])] |= index < rawAddedCount ? 1 : 2
    }
    addedFirstBytes = first

    let isUnigram = layout.model == .unigram
    guard isUnigram || layout.model == .wordPiece else {
      (lowestScore, highestScore, hasUserDefined, trie) = (0, 0, false, nil)
      return
    }
    if isUnigram && scores.count != layout.pieceCount {
      throw failure("\(layout.pieceCount) scores", "\(scores.count)")
    }
    var pieces: [(value: Int32, bytes: [UInt8])] = []
    var (lowest, highest, hasUserDefined) = (Double.infinity, -Double.infinity, false)
    for id in 0..<layout.pieceCount {
      let flags = reader.flags(id, layout)
      guard flags.contains(.lookup) else { continue }
      pieces.append((Int32(id), reader.piece(id, layout)))
      if flags.contains(.userDefined) {
        hasUserDefined = true
      } else if isUnigram {
        lowest = min(lowest, scores[id])
        highest = max(highest, scores[id])
      }
    }
    guard let trie = SymbolTrie(pieces) else {
      throw failure("pieces of at most 16 MB together", "more")
    }
    self.trie = trie
    self.hasUserDefined = hasUserDefined
    lowestScore = lowest
    highestScore = highest
  }

  /// f64, little-endian.
  static func scores(_ bytes: [UInt8]) -> [Double] {
    stride(from: 0, to: bytes.count - bytes.count % 8, by: 8).map { at in
      Double(bitPattern: (0..<8).reduce(0) { $0 | UInt64(bytes[at + $1]) << UInt64(8 * $1) })
    }
  }

  private static func addedTokens(
    _ reader: SerializedReader, _ layout: SerializedLayout, _ patterns: [TokenizerStep]
  ) throws(TokenizerError) -> ([AddedPattern], Int) {
    var bytesOf: [Int32: [UInt8]] = [:]
    for step in patterns {
      guard let id = TokenizerStep.word(step.first, 0), step.first.count > 4,
        String(validating: step.first[4...], as: UTF8.self) != nil
      else {
        throw .invalidForm(
          at: layout.steps, expected: "an added token's pattern in UTF-8", found: "another")
      }
      bytesOf[Int32(bitPattern: id)] = Array(step.first[4...])
    }
    let count = layout.rawAddedCount + layout.normalizedAddedCount
    var tokens: [AddedPattern] = []
    for index in 0..<count {
      let at = layout.addedTokens + 8 * index
      let id = reader.id(at)
      let flags = AddedTokenFlags(rawValue: reader.word(at + 4))
      tokens.append(
        .init(id: id, flags: flags, bytes: bytesOf[id] ?? reader.piece(Int(id), layout)))
    }
    func sorted(_ part: ArraySlice<AddedPattern>) -> [AddedPattern] {
      part.sorted { $0.bytes.lexicographicallyPrecedes($1.bytes) }
    }
    let raw = layout.rawAddedCount
    return (sorted(tokens[..<raw]) + sorted(tokens[raw...]), raw)
  }

  /// - Parameter isAtStart: see `NormalizerStep.normalize`.
  /// - Returns: nil if the text stays as it is.
  func normalize(_ text: UnsafeBufferPointer<UInt8>, isAtStart: inout Bool) -> [UInt8]? {
    var current: [UInt8]?
    for step in normalizers {
      var starts = isAtStart
      let next =
        current?.withUnsafeBufferPointer { step.normalize($0, isAtStart: &starts) }
        ?? (current == nil ? step.normalize(text, isAtStart: &starts) : nil)
      if let next { current = next }
      isAtStart = starts
    }
    return current
  }
}
