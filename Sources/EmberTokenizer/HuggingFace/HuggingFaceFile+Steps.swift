extension HuggingFaceFile {
  /// The steps of the file, in the stored form's terms.
  struct Steps {
    var normalizers: [TokenizerStep] = []
    var preTokenizers: [TokenizerStep] = []
    var decoders: [TokenizerStep] = []
    /// Whether words reach the model as GPT-2's stand-ins for bytes.
    var isByteLevel = false
  }

  func steps() throws(TokenizerError) -> Steps {
    var steps = Steps()
    for value in try flattened(json["normalizer"], list: "normalizers", "normalizer") {
      try addNormalizer(value, to: &steps)
    }
    for value in try flattened(json["pre_tokenizer"], list: "pretokenizers", "pre_tokenizer") {
      try addPreTokenizer(value, to: &steps)
    }
    let decoders = try flattened(json["decoder"], list: "decoders", "decoder")
    for value in decoders { try addDecoder(value, to: &steps) }
    // The reference then puts spaces between tokens; for byte-level pieces that would be no text.
    if json["decoder"] == .null && !steps.isByteLevel {
      steps.decoders.append(.init(kind: .decodeSpaces))
    }
    try check(steps)
    return steps
  }

  /// What a stored form would refuse is refused here, by the file's own names.
  private func check(_ steps: Steps) throws(TokenizerError) {
    var field = "normalizer"
    do throws(StepFailure) {
      for step in steps.normalizers { _ = try NormalizerStep(step) }
      field = "pre_tokenizer"
      var isByteAlphabet = false
      for step in steps.preTokenizers {
        isByteAlphabet = isByteAlphabet || step.kind == .byteAlphabet
        _ = try PreTokenizerStep(step, isByteAlphabet: isByteAlphabet)
      }
      field = "decoder"
      _ = try DecoderPlan(steps.decoders)
    } catch {
      throw .unsupported(
        path: path, field: field, found: "another value", supported: error.expected)
    }
  }

  // MARK: Normalizers

  private static let plainNormalizers: [String: TokenizerStep.Kind] = [
    "NFC": .nfc, "NFD": .nfd, "NFKC": .nfkc, "NFKD": .nfkd, "Lowercase": .lowercase,
    "StripAccents": .stripAccents, "Nmt": .nmt,
  ]

  private func addNormalizer(_ value: JSONValue, to steps: inout Steps) throws(TokenizerError) {
    let field = "normalizer"
    let name = value["type"].summary
    if steps.isByteLevel {
      throw .unsupported(
        path: path, field: field, found: "\(name) behind ByteLevel", supported: "ByteLevel last")
    }
    if let kind = Self.plainNormalizers[name] {
      steps.normalizers.append(.init(kind: kind))
      return
    }
    switch name {
    case "Strip":
      let left = try flag(value, "strip_left", in: field, default: true)
      let right = try flag(value, "strip_right", in: field, default: true)
      steps.normalizers.append(.init(kind: .strip, flags: (left ? 1 : 0) | (right ? 2 : 0)))
    case "Prepend":
      steps.normalizers.append(
        .init(kind: .prepend, first: try bytes(value, "prepend", in: field)))
    case "Append":
      steps.normalizers.append(.init(kind: .append, first: try bytes(value, "append", in: field)))
    case "Replace": steps.normalizers.append(try replacement(value, .replace, in: field))
    case "BertNormalizer": steps.normalizers.append(try bertNormalizer(value))
    case "Precompiled":
      guard case .string(let text) = value["precompiled_charsmap"] else {
        if value["precompiled_charsmap"] == .null { return }
        throw invalid(
          "\(field).precompiled_charsmap", expected: "a string", value["precompiled_charsmap"])
      }
      if text.isEmpty { return }
      guard let map = Base64.decode(text.utf8) else {
        throw invalid(
          "\(field).precompiled_charsmap", expected: "base 64", .string("something else"))
      }
      steps.normalizers.append(.init(kind: .precompiled, first: map))
    case "ByteLevel":
      steps.isByteLevel = true
      steps.preTokenizers.append(.init(kind: .byteAlphabet))
    default:
      throw .unsupported(
        path: path, field: field, found: name,
        supported: (Self.plainNormalizers.keys.sorted() + [
          "Strip", "Prepend", "Append", "Replace", "BertNormalizer", "Precompiled", "ByteLevel",
          "Sequence",
        ]).joined(separator: ", "))
    }
  }

  private func bertNormalizer(_ value: JSONValue) throws(TokenizerError) -> TokenizerStep {
    let field = "normalizer"
    let lowercases = try flag(value, "lowercase", in: field, default: true)
    var flags: UInt8 = 0
    if try flag(value, "clean_text", in: field, default: true) { flags |= 1 }
    if try flag(value, "handle_chinese_chars", in: field, default: true) { flags |= 2 }
    if try flag(value, "strip_accents", in: field, default: lowercases) { flags |= 4 }
    if lowercases { flags |= 8 }
    return .init(kind: .bert, flags: flags)
  }

  private func replacement(
    _ value: JSONValue, _ kind: TokenizerStep.Kind, in field: String
  ) throws(TokenizerError) -> TokenizerStep {
    let (pattern, isExpression) = try pattern(value, in: field)
    return .init(
      kind: kind, flags: isExpression ? 1 : 0, first: pattern,
      second: try bytes(value, "content", in: field))
  }

  /// `{"String": …}` or `{"Regex": …}`.
  private func pattern(
    _ value: JSONValue, in field: String
  ) throws(TokenizerError) -> (bytes: [UInt8], isExpression: Bool) {
    if case .string(let text) = value["pattern"]["String"] { return (Array(text.utf8), false) }
    if case .string(let text) = value["pattern"]["Regex"] {
      do throws(ExpressionParser.Failure) {
        _ = try Expression(text)
      } catch {
        throw .unsupported(
          path: path, field: "\(field).pattern.Regex",
          found: text, supported: "no \(error.reason) (character \(error.position))")
      }
      return (Array(text.utf8), true)
    }
    throw invalid("\(field).pattern", expected: "a String or a Regex", value["pattern"])
  }

  private func bytes(
    _ value: JSONValue, _ name: String, in field: String
  ) throws(TokenizerError) -> [UInt8] {
    guard case .string(let text) = value[name] else {
      throw invalid("\(field).\(name)", expected: "a string", value[name])
    }
    return Array(text.utf8)
  }

  // MARK: Pre-tokenizers

  private static let plainPreTokenizers: [String: TokenizerStep.Kind] = [
    "Whitespace": .whitespace, "WhitespaceSplit": .whitespaceSplit, "BertPreTokenizer": .bertWords,
  ]

  private func addPreTokenizer(_ value: JSONValue, to steps: inout Steps) throws(TokenizerError) {
    let field = "pre_tokenizer"
    let name = value["type"].summary
    if let kind = Self.plainPreTokenizers[name], !steps.isByteLevel {
      steps.preTokenizers.append(.init(kind: kind))
      return
    }
    switch name {
    case "ByteLevel" where !steps.isByteLevel:
      if try flag(value, "add_prefix_space", in: field, default: true) {
        steps.preTokenizers.append(.init(kind: .prefixSpace))
      }
      if try flag(value, "use_regex", in: field, default: true) {
        steps.preTokenizers.append(.init(kind: .gpt2Words))
      }
      steps.isByteLevel = true
      steps.preTokenizers.append(.init(kind: .byteAlphabet))
    case "Split": steps.preTokenizers.append(try split(value, isByteLevel: steps.isByteLevel))
    case "Digits":
      let isIndividual = try flag(value, "individual_digits", in: field, default: false)
      steps.preTokenizers.append(.init(kind: .digits, flags: isIndividual ? 1 : 0))
    case "Punctuation":
      let behavior = try behavior(value, default: .isolated)
      steps.preTokenizers.append(.init(kind: .punctuation, flags: behavior.rawValue << 2))
    case "CharDelimiterSplit":
      let character = try bytes(value, "delimiter", in: field)
      steps.preTokenizers.append(
        .init(kind: .split, flags: SplitBehavior.removed.rawValue << 2, first: character))
    case "Metaspace" where !steps.isByteLevel: steps.preTokenizers.append(try metaspace(value))
    default:
      throw .unsupported(
        path: path, field: field, found: name + (steps.isByteLevel ? " behind ByteLevel" : ""),
        supported: (Self.plainPreTokenizers.keys.sorted() + [
          "ByteLevel", "Split", "Digits", "Punctuation", "CharDelimiterSplit", "Metaspace",
          "Sequence",
        ]).joined(separator: ", "))
    }
  }

  private func split(
    _ value: JSONValue, isByteLevel: Bool
  ) throws(TokenizerError) -> TokenizerStep {
    let field = "pre_tokenizer"
    let (pattern, isExpression) = try pattern(value, in: field)
    let behavior = try behavior(value, default: nil)
    let isInverted = try flag(value, "invert", in: field, default: false)
    // The matches, with nothing between them: both ways of asking are the same.
    let isWhole = (behavior == .isolated && !isInverted) || (behavior == .removed && isInverted)
    if isExpression && isWhole && !isByteLevel {
      let known = KnownExpressions.step(String(decoding: pattern, as: UTF8.self))
      if known.kind != .split { return known }
    }
    return .init(
      kind: .split,
      flags: (isExpression ? 1 : 0) | (isInverted ? 2 : 0) | behavior.rawValue << 2, first: pattern)
  }

  private func behavior(
    _ value: JSONValue, default standard: SplitBehavior?
  ) throws(TokenizerError) -> SplitBehavior {
    let names: [String: SplitBehavior] = [
      "Removed": .removed, "Isolated": .isolated, "MergedWithPrevious": .mergedWithPrevious,
      "MergedWithNext": .mergedWithNext, "Contiguous": .contiguous,
    ]
    if value["behavior"] == .null, let standard { return standard }
    guard let behavior = names[value["behavior"].summary] else {
      throw invalid(
        "pre_tokenizer.behavior", expected: names.keys.sorted().joined(separator: ", "),
        value["behavior"])
    }
    return behavior
  }

  private func metaspace(_ value: JSONValue) throws(TokenizerError) -> TokenizerStep {
    let field = "pre_tokenizer"
    let prepending = try prependScheme(value, in: field)
    var flags: UInt8 = prepending == "always" ? 2 : prepending == "first" ? 4 : 0
    if try flag(value, "split", in: field, default: true) { flags |= 1 }
    return .init(
      kind: .metaspace, flags: flags, first: try bytes(value, "replacement", in: field))
  }

  private func prependScheme(
    _ value: JSONValue, in field: String
  ) throws(TokenizerError) -> String {
    // The older spelling.
    if try !flag(value, "add_prefix_space", in: field, default: true) { return "never" }
    let scheme = value["prepend_scheme"] == .null ? "always" : value["prepend_scheme"].summary
    guard ["always", "first", "never"].contains(scheme) else {
      throw invalid(
        "\(field).prepend_scheme", expected: "always, first or never", value["prepend_scheme"])
    }
    return scheme
  }

  // MARK: Decoders

  private func addDecoder(_ value: JSONValue, to steps: inout Steps) throws(TokenizerError) {
    let field = "decoder"
    let name = value["type"].summary
    switch name {
    case "ByteLevel" where steps.isByteLevel: break
    case "ByteFallback": steps.decoders.append(.init(kind: .decodeBytes))
    case "Fuse": steps.decoders.append(.init(kind: .decodeFuse))
    case "Replace": steps.decoders.append(try replacement(value, .decodeReplace, in: field))
    case "Metaspace":
      let loses = try prependScheme(value, in: field) != "never"
      steps.decoders.append(
        .init(
          kind: .decodeMetaspace, flags: loses ? 1 : 0,
          first: try bytes(value, "replacement", in: field)))
    case "WordPiece":
      let cleans = try flag(value, "cleanup", in: field, default: true)
      steps.decoders.append(
        .init(
          kind: .decodeWordPiece, flags: cleans ? 1 : 0,
          first: try bytes(value, "prefix", in: field)))
    case "Strip":
      let counts = try ["start", "stop"].map { name throws(TokenizerError) in
        guard case .integer(let count) = value[name], count >= 0, count <= 1000 else {
          throw invalid("\(field).\(name)", expected: "a count up to 1000", value[name])
        }
        return UInt32(count)
      }
      steps.decoders.append(
        .init(
          kind: .decodeStrip, first: try bytes(value, "content", in: field),
          second: TokenizerStep.words(counts[0], counts[1])))
    default:
      throw .unsupported(
        path: path, field: field, found: name,
        supported: "ByteLevel (with its pre-tokenizer), ByteFallback, Fuse, Replace, Metaspace,"
          + " WordPiece, Strip, Sequence")
    }
  }
}
