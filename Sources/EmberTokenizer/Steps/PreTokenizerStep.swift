/// One pre-tokenizer, ready to run.
enum PreTokenizerStep: Sendable {
  case gpt2Words
  case llama3Words(digits: Int)
  case split(SplitBehavior, isInverted: Bool)
  case properties(CharacterProperties, SplitBehavior)
  case whitespace
  case bertWords
  case metaspace(replacement: [UInt8], prepends: Prepending, splits: Bool)
  case prefixSpace
  case beforeRuns([UInt8])

  enum Prepending: Sendable { case never, first, always }

  /// - Parameter isByteAlphabet: whether a `byteAlphabet` step stands before this one.
  /// - Returns: nil for a step of another stage.
  init?(_ step: TokenizerStep, isByteAlphabet: Bool) throws(StepFailure) {
    // These read UTF-8, which splits between bytes would not leave them.
    let needsText: [TokenizerStep.Kind] = [
      .gpt2Words, .llama3Words, .whitespace, .bertWords, .metaspace, .prefixSpace, .beforeRuns,
    ]
    if isByteAlphabet && needsText.contains(step.kind) {
      throw StepFailure("no step that reads characters behind the byte alphabet")
    }
    switch step.kind {
    case .gpt2Words: self = .gpt2Words
    case .llama3Words:
      guard step.flags == 1 || step.flags == 3 else { throw StepFailure("1 or 3 digits") }
      self = .llama3Words(digits: Int(step.flags))
    case .split: self = .split(try Self.behavior(step), isInverted: step.flags & 2 != 0)
    case .digits: self = .properties(.numeric, step.flags & 1 != 0 ? .isolated : .contiguous)
    case .punctuation: self = .properties(.punctuation, try Self.behavior(step))
    case .whitespaceSplit: self = .properties(.whiteSpace, .removed)
    case .whitespace: self = .whitespace
    case .bertWords: self = .bertWords
    case .metaspace:
      try StepFailure.expectText(step.first)
      guard !step.first.isEmpty, step.first.count <= 4 else {
        throw StepFailure("a replacement of one character")
      }
      self = .metaspace(
        replacement: step.first,
        prepends: step.flags & 2 != 0 ? .always : step.flags & 4 != 0 ? .first : .never,
        splits: step.flags & 1 != 0)
    case .prefixSpace: self = .prefixSpace
    case .beforeRuns:
      try StepFailure.expectText(step.first)
      guard !step.first.isEmpty else { throw StepFailure("a character") }
      self = .beforeRuns(step.first)
    default: return nil
    }
  }

  /// What a split searches for; nil for the other steps.
  static func pattern(
    _ step: TokenizerStep, isByteAlphabet: Bool
  ) throws(StepFailure) -> TextPattern? {
    guard step.kind == .split else { return nil }
    let isExpression = step.flags & 1 != 0
    guard isByteAlphabet && !isExpression else {
      return try TextPattern(step.first, isExpression: isExpression)
    }
    // The text stays as bytes; what cannot be a stand-in can never match.
    let bytes =
      ByteAlphabet.bytes(String(decoding: step.first, as: UTF8.self)) ?? [0xff, 0xff, 0xff]
    guard !bytes.isEmpty else { throw StepFailure("a pattern that is not empty") }
    return .literal(bytes)
  }

  private static func behavior(_ step: TokenizerStep) throws(StepFailure) -> SplitBehavior {
    guard let behavior = SplitBehavior(rawValue: step.flags >> 2) else {
      throw StepFailure("a known behavior of a split")
    }
    return behavior
  }
}
