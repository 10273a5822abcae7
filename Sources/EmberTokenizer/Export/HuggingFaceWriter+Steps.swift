/// What happens to a text before its words are cut, and to pieces when they are joined again.
extension HuggingFaceWriter {
  func step(_ type: String, _ members: [(String, JSONValue)] = []) -> JSONValue {
    .object(
      [.init(key: "type", value: .string(type))] + members.map { .init(key: $0, value: $1) })
  }

  func sequence(_ steps: [JSONValue], list: String) -> JSONValue {
    switch steps.count {
    case 0: .null
    case 1: steps[0]
    default: step("Sequence", [(list, .array(steps))])
    }
  }

  func string(_ bytes: [UInt8]) -> JSONValue {
    .string(String(decoding: bytes, as: UTF8.self))
  }

  func pattern(_ step: TokenizerStep) -> JSONValue {
    .object([.init(key: step.flags & 1 != 0 ? "Regex" : "String", value: string(step.first))])
  }

  func normalizers() throws(TokenizerError) -> [JSONValue] {
    var steps: [JSONValue] = []
    for one in description.steps {
      func flag(_ bit: UInt8) -> JSONValue { .bool(one.flags & bit != 0) }
      switch one.kind {
      case .nfc: steps.append(step("NFC"))
      case .nfd: steps.append(step("NFD"))
      case .nfkc: steps.append(step("NFKC"))
      case .nfkd: steps.append(step("NFKD"))
      case .lowercase: steps.append(step("Lowercase"))
      case .strip: steps.append(step("Strip", [("strip_left", flag(1)), ("strip_right", flag(2))]))
      case .stripAccents: steps.append(step("StripAccents"))
      case .replace:
        steps.append(step("Replace", [("pattern", pattern(one)), ("content", string(one.second))]))
      case .prepend: steps.append(step("Prepend", [("prepend", string(one.first))]))
      case .append: steps.append(step("Append", [("append", string(one.first))]))
      case .bert:
        steps.append(
          step(
            "BertNormalizer",
            [
              ("clean_text", flag(1)), ("handle_chinese_chars", flag(2)),
              ("strip_accents", flag(4)), ("lowercase", flag(8)),
            ]))
      case .nmt: steps.append(step("Nmt"))
      case .precompiled:
        steps.append(
          step("Precompiled", [("precompiled_charsmap", .string(Base64.encode(one.first)))]))
      default: break
      }
    }
    return steps
  }

  static let behaviors: [SplitBehavior: String] = [
    .removed: "Removed", .isolated: "Isolated", .mergedWithPrevious: "MergedWithPrevious",
    .mergedWithNext: "MergedWithNext", .contiguous: "Contiguous",
  ]

  func behavior(_ step: TokenizerStep) -> JSONValue {
    .string(SplitBehavior(rawValue: step.flags >> 2).flatMap { Self.behaviors[$0] } ?? "Isolated")
  }

  func splitting(by expression: String) -> JSONValue {
    let pattern = JSONValue.object([.init(key: "Regex", value: .string(expression))])
    return step(
      "Split", [("pattern", pattern), ("behavior", .string("Isolated")), ("invert", .bool(false))])
  }

  func byteLevel(prefixSpace: Bool, splits: Bool) -> JSONValue {
    step(
      "ByteLevel",
      [
        ("add_prefix_space", .bool(prefixSpace)), ("trim_offsets", .bool(false)),
        ("use_regex", .bool(splits)),
      ])
  }

  func preTokenizers() throws(TokenizerError) -> [JSONValue] {
    let all = description.steps
    var steps: [JSONValue] = []
    var index = 0
    /// Whether the steps from here on are of these kinds, which one of the file's stands for.
    func follow(_ kinds: TokenizerStep.Kind...) -> Bool {
      index + kinds.count <= all.count
        && zip(all[index...], kinds).allSatisfy { $0.kind == $1 }
    }
    while index < all.count {
      let one = all[index]
      var taken = 1
      switch one.kind {
      case .prefixSpace:
        if follow(.prefixSpace, .gpt2Words, .byteAlphabet) {
          taken = 3
        } else if follow(.prefixSpace, .byteAlphabet) {
          taken = 2
        } else {
          throw failure("a space before each part", "one before byte-level BPE")
        }
        steps.append(byteLevel(prefixSpace: true, splits: taken == 3))
      case .gpt2Words:
        if follow(.gpt2Words, .byteAlphabet) {
          taken = 2
          steps.append(byteLevel(prefixSpace: false, splits: true))
        } else {
          steps.append(splitting(by: KnownExpressions.gpt2))
        }
      case .byteAlphabet: steps.append(byteLevel(prefixSpace: false, splits: false))
      case .llama3Words:
        steps.append(
          splitting(by: one.flags == 1 ? KnownExpressions.qwen2 : KnownExpressions.llama3))
      case .split:
        steps.append(
          step(
            "Split",
            [
              ("pattern", pattern(one)), ("behavior", behavior(one)),
              ("invert", .bool(one.flags & 2 != 0)),
            ]))
      case .digits:
        steps.append(step("Digits", [("individual_digits", .bool(one.flags & 1 != 0))]))
      case .punctuation: steps.append(step("Punctuation", [("behavior", behavior(one))]))
      case .whitespace: steps.append(step("Whitespace"))
      case .whitespaceSplit: steps.append(step("WhitespaceSplit"))
      case .bertWords: steps.append(step("BertPreTokenizer"))
      case .metaspace:
        let scheme = one.flags & 2 != 0 ? "always" : one.flags & 4 != 0 ? "first" : "never"
        steps.append(
          step(
            "Metaspace",
            [
              ("replacement", string(one.first)), ("prepend_scheme", .string(scheme)),
              ("split", .bool(one.flags & 1 != 0)),
            ]))
      default: break
      }
      index += taken
    }
    return steps
  }

  func decoders() throws(TokenizerError) -> [JSONValue] {
    var steps: [JSONValue] = []
    if isByteLevel { steps.append(byteLevel(prefixSpace: true, splits: true)) }
    for one in description.steps {
      switch one.kind {
      case .decodeReplace:
        steps.append(step("Replace", [("pattern", pattern(one)), ("content", string(one.second))]))
      case .decodeBytes: steps.append(step("ByteFallback"))
      case .decodeFuse: steps.append(step("Fuse"))
      case .decodeStrip:
        let counts = [0, 4].map { TokenizerStep.word(one.second, $0).map { Int($0) } ?? 0 }
        steps.append(
          step(
            "Strip",
            [
              ("content", string(one.first)), ("start", .integer(counts[0])),
              ("stop", .integer(counts[1])),
            ]))
      case .decodeMetaspace:
        steps.append(
          step(
            "Metaspace",
            [
              ("replacement", string(one.first)),
              ("prepend_scheme", .string(one.flags & 1 != 0 ? "always" : "never")),
              ("split", .bool(true)),
            ]))
      case .decodeWordPiece:
        steps.append(
          step(
            "WordPiece",
            [("prefix", string(one.first)), ("cleanup", .bool(one.flags & 1 != 0))]))
      default: break  // `decodeSpaces` is what readers do where there is no decoder.
      }
    }
    return steps
  }
}
