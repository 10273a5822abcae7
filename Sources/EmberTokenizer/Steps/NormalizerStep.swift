/// One normalizer, ready to run.
enum NormalizerStep: Sendable {
  case unicode(UnicodeNormalizer.Form)
  case lowercase
  case strip(left: Bool, right: Bool)
  case stripAccents
  case replace(TextPattern, with: [UInt8])
  case prepend([UInt8])
  case append([UInt8])
  case bert(BertNormalizer)
  case nmt
  case precompiled(CharacterMap)
  case sentencePiece(SentencePieceNormalizer)

  /// - Returns: nil for a step of another stage.
  /// - Throws: what is wrong with it.
  init?(_ step: TokenizerStep) throws(StepFailure) {
    switch step.kind {
    case .nfc: self = .unicode(.composes)
    case .nfd: self = .unicode([])
    case .nfkc: self = .unicode([.composes, .isCompatible])
    case .nfkd: self = .unicode(.isCompatible)
    case .lowercase: self = .lowercase
    case .strip: self = .strip(left: step.flags & 1 != 0, right: step.flags & 2 != 0)
    case .stripAccents: self = .stripAccents
    case .replace:
      try StepFailure.expectText(step.second)
      self = .replace(
        try TextPattern(step.first, isExpression: step.flags & 1 != 0), with: step.second)
    case .prepend:
      try StepFailure.expectText(step.first)
      self = .prepend(step.first)
    case .append:
      try StepFailure.expectText(step.first)
      self = .append(step.first)
    case .bert:
      guard step.flags < 16 else { throw StepFailure("known flags of a BERT normalizer") }
      self = .bert(BertNormalizer(flags: step.flags))
    case .nmt: self = .nmt
    case .precompiled:
      guard let map = CharacterMap(step.first) else { throw StepFailure("a character map") }
      self = .precompiled(map)
    case .sentencePiece:
      guard
        let normalizer = SentencePieceNormalizer(
          options: step.flags, map: step.first, symbols: step.second)
      else { throw StepFailure("a SentencePiece normalizer") }
      self = .sentencePiece(normalizer)
    default: return nil
    }
  }

  /// - Parameter isAtStart: whether the text still begins where the caller's does; set to false
  ///   when characters at its beginning go.
  /// - Returns: nil if the text stays as it is.
  func normalize(_ text: UnsafeBufferPointer<UInt8>, isAtStart: inout Bool) -> [UInt8]? {
    if text.isEmpty { return nil }
    switch self {
    case .unicode(let form): return UnicodeNormalizer.normalize(text, form)
    case .lowercase: return TextMapping.lowercased(text)
    case .strip(let left, let right):
      return TextMapping.stripped(text, left: left, right: right, isAtStart: &isAtStart)
    case .stripAccents:
      return TextMapping.filtered(text, isAtStart: &isAtStart) {
        CharacterProperties.of($0).contains(.combiningMark) ? nil : $0
      }
    case .replace(let pattern, let content): return pattern.replace(text, with: content)
    case .prepend(let prefix): return prefix + text
    case .append(let suffix): return text + suffix
    case .bert(let normalizer): return normalizer.normalize(text, isAtStart: &isAtStart)
    case .nmt: return TextMapping.nmt(text, isAtStart: &isAtStart)
    case .precompiled(let map): return GraphemeMapping.normalize(text, map)
    case .sentencePiece(let normalizer): return normalizer.normalize(text)
    }
  }
}

/// What a stored step should have been.
struct StepFailure: Error {
  let expected: String
  init(_ expected: String) { self.expected = expected }

  static func expectText(_ bytes: [UInt8]) throws(StepFailure) {
    guard String(validating: bytes, as: UTF8.self) != nil else { throw StepFailure("UTF-8 text") }
  }
}
