extension Tokenizer {
  /// This tokenizer as a Hugging Face `tokenizer.json`.
  ///
  /// Read again, it gives the same ids; for a tokenizer that came from such a file it is the same
  /// file in all that encoding and decoding heed. Texts of the self-check are compared before it is
  /// handed out.
  ///
  /// - Throws: `notExpressible` names what such a file cannot say.
  package func huggingFaceJSON() throws(TokenizerError) -> [UInt8] {
    var writer = HuggingFaceWriter(description: try storedDescription())
    let json = try writer.json()
    let name = "tokenizer.json"
    let copy = try Tokenizer.huggingFace(
      json: json, path: name, beginOfSequence: layout.beginOfSequence.map { Int($0) },
      endOfSequence: layout.endOfSequence.map { Int($0) })
    for text in SerializedTokenizerWriter.selfCheckTexts
    where copy.encode(text) != encode(text) {
      throw .notExpressible(
        format: name, found: "another encoding of \"\(text)\"",
        supported: "tokenizers that give the same ids when they are read again")
    }
    return json
  }

  /// The text that stands for a token, such as `<s>`; nil where the id has none.
  package func name(of id: Int32) -> String? {
    guard id >= 0, Int(id) < layout.pieceCount else { return nil }
    let piece = SerializedReader(storage).piece(Int(id), layout)
    return piece.isEmpty ? nil : String(validating: piece, as: UTF8.self)
  }
}

/// Writes a description as `tokenizer.json`, the inverse of `HuggingFaceFile` and its importer.
private struct HuggingFaceWriter {
  var description: TokenizerDescription

  private var isByteLevel: Bool { description.model == .byteLevelBPE }

  private func failure(_ found: String, _ supported: String) -> TokenizerError {
    .notExpressible(format: "tokenizer.json", found: found, supported: supported)
  }

  mutating func json() throws(TokenizerError) -> [UInt8] {
    SpaceEscaping.apply(to: &description)
    try SentencePieceSteps.expand(&description)
    let normalizers = try normalizers()
    let preTokenizers = try preTokenizers()
    let decoders = try decoders()
    let names = try names()
    let isListed = inVocabulary()
    try checkNames(names, isListed)
    let contents = addedContents(names, isListed)
    var text = JSONText()
    text.object { text in
      text.key("version")
      text.string("1.0")
      for name in ["truncation", "padding"] {
        text.key(name)
        text.null()
      }
      text.key("added_tokens")
      text.array { text in
        for token in description.addedTokens {
          add(token, contents[token.id] ?? names[Int(token.id)] ?? "", to: &text)
        }
      }
      text.key("normalizer")
      text.value(sequence(normalizers, list: "normalizers"))
      text.key("pre_tokenizer")
      text.value(sequence(preTokenizers, list: "pretokenizers"))
      text.key("post_processor")
      text.value(postProcessor(names))
      text.key("decoder")
      text.value(sequence(decoders, list: "decoders"))
      text.key("model")
      text.object { addModel(names, isListed, to: &$0) }
    }
    return text.bytes
  }

  // MARK: Pieces

  /// What the file calls each id; nil for an id that no token has.
  private func names() throws(TokenizerError) -> [String?] {
    let isAdded = Set(description.addedTokens.map(\.id))
    var names: [String?] = []
    for (id, piece) in description.pieces.enumerated() {
      if piece.flags.contains(.unused), piece.bytes.isEmpty {
        names.append(nil)
      } else if isByteLevel, piece.flags.contains(.lookup), !isAdded.contains(Int32(id)) {
        names.append(ByteAlphabet.piece(piece.bytes))
      } else if let name = String(validating: piece.bytes, as: UTF8.self) {
        names.append(name)
      } else {
        throw failure("token \(id), whose bytes are no text", "tokens that are text")
      }
    }
    return names
  }

  /// Whether an id stands in the model's vocabulary; added tokens behind it do not, where they are
  /// numbered on without a gap, since readers number them so.
  private func inVocabulary() -> [Bool] {
    let isAdded = Set(description.addedTokens.map(\.id))
    var end = description.pieces.count
    while end > 0, isAdded.contains(Int32(end - 1)),
      !description.pieces[end - 1].flags.contains(.lookup)
    {
      end -= 1
    }
    let isUsed = description.pieces.map { !($0.flags.contains(.unused) && $0.bytes.isEmpty) }
    if isUsed[..<end].contains(false), description.model != .unigram { return isUsed }
    return description.pieces.indices.map { isUsed[$0] && $0 < end }
  }

  private func checkNames(_ names: [String?], _ isListed: [Bool]) throws(TokenizerError) {
    // By bytes: Swift's own comparison takes canonically equivalent texts for one.
    var first: [[UInt8]: Int] = [:]
    for (id, name) in names.enumerated() where isListed[id] {
      guard let name else { continue }
      if let other = first.updateValue(id, forKey: Array(name.utf8)) {
        throw failure("one name for the tokens \(other) and \(id)", "a name for each token")
      }
    }
  }

  /// What stands for tokens that are searched for in normalized text, where that is not their piece:
  /// readers normalize it, and the piece is what comes of it.
  private func addedContents(_ names: [String?], _ isListed: [Bool]) -> [Int32: String] {
    // Importers have compiled each of them.
    let normalizers = description.steps.compactMap { try? NormalizerStep($0) }
    if normalizers.isEmpty { return [:] }
    let listed = Set(
      names.indices.filter { isListed[$0] }.compactMap { names[$0] }.map { Array($0.utf8) })
    var contents: [Int32: String] = [:]
    for token in description.addedTokens where token.flags.contains(.normalized) {
      // A token of the vocabulary keeps its own text, and what is searched for is made of it again.
      if description.pieces[Int(token.id)].flags.contains(.lookup) { continue }
      guard let name = names[Int(token.id)] else { continue }
      let plain = name.replacing("\u{2581}", with: " ")
      let texts = [
        name, plain, plain.hasPrefix(" ") ? String(plain.dropFirst()) : plain,
        plain.replacing(" ", with: ""),
      ]
      let candidates =
        texts + texts.map { $0.prefix(1).uppercased() + $0.dropFirst() }
        + texts.map { $0.uppercased() }
      contents[token.id] = candidates.first { candidate in
        let bytes = Array(candidate.utf8)
        if bytes != Array(name.utf8), listed.contains(bytes) { return false }
        let isOwn = !listed.contains(Array(name.utf8)) || isListed[Int(token.id)]
        return (isOwn || bytes != Array(name.utf8))
          && normalized(bytes, normalizers) == Array(name.utf8)
      }
    }
    return contents
  }

  private func normalized(_ bytes: [UInt8], _ steps: [NormalizerStep]) -> [UInt8] {
    var current = bytes
    var isAtStart = true
    for step in steps {
      current =
        current.withUnsafeBufferPointer { step.normalize($0, isAtStart: &isAtStart) } ?? current
    }
    return current
  }

  private func add(
    _ token: TokenizerDescription.AddedToken, _ content: String, to text: inout JSONText
  ) {
    text.object { text in
      text.key("id")
      text.integer(Int(token.id))
      text.key("content")
      text.string(content)
      for (name, flag) in [
        ("single_word", AddedTokenFlags.singleWord), ("lstrip", .stripsLeft),
        ("rstrip", .stripsRight), ("normalized", .normalized), ("special", .special),
      ] {
        text.key(name)
        text.boolean(token.flags.contains(flag))
      }
    }
  }

  // MARK: Model

  private func addModel(_ names: [String?], _ isListed: [Bool], to text: inout JSONText) {
    func flag(_ name: String, _ option: Bool) {
      text.key(name)
      text.boolean(option)
    }
    func null(_ name: String) {
      text.key(name)
      text.null()
    }
    func unknown() {
      text.key("unk_token")
      if let id = description.unknown, let name = names[Int(id)] {
        text.string(name)
      } else {
        text.null()
      }
    }
    text.key("type")
    switch description.model {
    case .byteLevelBPE, .scoredBPE:
      text.string("BPE")
      null("dropout")
      unknown()
      null("continuing_subword_prefix")
      null("end_of_word_suffix")
      flag("fuse_unk", description.options.contains(.fusesUnknown))
      flag("byte_fallback", hasByteFallback)
      flag("ignore_merges", description.options.contains(.ignoresMerges))
      addVocabulary(names, isListed, to: &text)
      text.key("merges")
      text.array { text in
        for merge in description.merges {
          guard let left = names[Int(merge.left)], let right = names[Int(merge.right)] else {
            continue
          }
          text.array {
            $0.string(left)
            $0.string(right)
          }
        }
      }
    case .unigram:
      text.string("Unigram")
      text.key("unk_id")
      if let id = description.unknown { text.integer(Int(id)) } else { text.null() }
      flag("byte_fallback", hasByteFallback)
      addScoredVocabulary(names, isListed, to: &text)
    case .wordPiece:
      text.string("WordPiece")
      unknown()
      let step = description.steps.last { $0.kind == .wordPiece }
      text.key("continuing_subword_prefix")
      text.string(String(decoding: step?.first ?? Array("##".utf8), as: UTF8.self))
      text.key("max_input_chars_per_word")
      text.integer(step.flatMap { TokenizerStep.word($0.second, 0) }.map { Int($0) } ?? 100)
      addVocabulary(names, isListed, to: &text)
    case .wordLevel:
      text.string("WordLevel")
      addVocabulary(names, isListed, to: &text)
      unknown()
    }
  }

  private var hasByteFallback: Bool {
    !isByteLevel && description.byteTokens.contains { $0 >= 0 }
  }

  private func addVocabulary(_ names: [String?], _ isListed: [Bool], to text: inout JSONText) {
    text.key("vocab")
    text.object { text in
      for (id, name) in names.enumerated() where isListed[id] {
        guard let name else { continue }
        text.key(name)
        text.integer(id)
      }
    }
  }

  private func addScoredVocabulary(
    _ names: [String?], _ isListed: [Bool], to text: inout JSONText
  ) {
    let scores = TokenizerPipeline.scores(
      description.steps.last { $0.kind == .scores }?.first ?? [])
    text.key("vocab")
    text.array { text in
      for (id, name) in names.enumerated() where isListed[id] && id < scores.count {
        text.array {
          $0.string(name ?? "")
          $0.number(scores[id])
        }
      }
    }
  }

  // MARK: Steps

  private func step(_ type: String, _ members: [(String, JSONValue)] = []) -> JSONValue {
    .object(
      [.init(key: "type", value: .string(type))] + members.map { .init(key: $0, value: $1) })
  }

  private func sequence(_ steps: [JSONValue], list: String) -> JSONValue {
    switch steps.count {
    case 0: .null
    case 1: steps[0]
    default: step("Sequence", [(list, .array(steps))])
    }
  }

  private func string(_ bytes: [UInt8]) -> JSONValue {
    .string(String(decoding: bytes, as: UTF8.self))
  }

  private func pattern(_ step: TokenizerStep) -> JSONValue {
    .object([.init(key: step.flags & 1 != 0 ? "Regex" : "String", value: string(step.first))])
  }

  private func normalizers() throws(TokenizerError) -> [JSONValue] {
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

  private static let behaviors: [SplitBehavior: String] = [
    .removed: "Removed", .isolated: "Isolated", .mergedWithPrevious: "MergedWithPrevious",
    .mergedWithNext: "MergedWithNext", .contiguous: "Contiguous",
  ]

  private func behavior(_ step: TokenizerStep) -> JSONValue {
    .string(SplitBehavior(rawValue: step.flags >> 2).flatMap { Self.behaviors[$0] } ?? "Isolated")
  }

  private func splitting(by expression: String) -> JSONValue {
    let pattern = JSONValue.object([.init(key: "Regex", value: .string(expression))])
    return step(
      "Split", [("pattern", pattern), ("behavior", .string("Isolated")), ("invert", .bool(false))])
  }

  private func byteLevel(prefixSpace: Bool, splits: Bool) -> JSONValue {
    step(
      "ByteLevel",
      [
        ("add_prefix_space", .bool(prefixSpace)), ("trim_offsets", .bool(false)),
        ("use_regex", .bool(splits)),
      ])
  }

  private func preTokenizers() throws(TokenizerError) -> [JSONValue] {
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

  private func decoders() throws(TokenizerError) -> [JSONValue] {
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

  // MARK: What stands around a text

  private func postProcessor(_ names: [String?]) -> JSONValue {
    let (prefix, suffix) = (description.prefix, description.suffix)
    if prefix.isEmpty && suffix.isEmpty {
      return isByteLevel ? byteLevel(prefixSpace: true, splits: true) : .null
    }
    func part(_ kind: String, _ id: String, _ type: Int) -> JSONValue {
      .object([
        .init(
          key: kind,
          value: .object([
            .init(key: "id", value: .string(id)), .init(key: "type_id", value: .integer(type)),
          ]))
      ])
    }
    func text(_ id: String, _ type: Int) -> [JSONValue] {
      func special(_ ids: [Int32]) -> [JSONValue] {
        ids.map { part("SpecialToken", names[Int($0)] ?? "", type) }
      }
      return special(prefix) + [part("Sequence", id, type)] + special(suffix)
    }
    var specials: [JSONValue.Member] = []
    for id in Set(prefix + suffix).sorted() {
      let name = names[Int(id)] ?? ""
      specials.append(
        .init(
          key: name,
          value: .object([
            .init(key: "id", value: .string(name)),
            .init(key: "ids", value: .array([.integer(Int(id))])),
            .init(key: "tokens", value: .array([.string(name)])),
          ])))
    }
    return step(
      "TemplateProcessing",
      [
        ("single", .array(text("A", 0))), ("pair", .array(text("A", 0) + text("B", 1))),
        ("special_tokens", .object(specials)),
      ])
  }
}
