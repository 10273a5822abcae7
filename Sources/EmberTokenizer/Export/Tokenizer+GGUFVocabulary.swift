extension Tokenizer {
  /// This tokenizer as the metadata of a GGUF file: "gpt2" for byte-level BPE, "llama" for
  /// SentencePiece's BPE.
  ///
  /// Read again, it gives the same ids: texts of the self-check are compared before it is handed
  /// out.
  ///
  /// - Parameter rows: of the embedding table; ids beyond the vocabulary are padding.
  /// - Returns: the vocabulary, and what a user should know of the difference.
  /// - Throws: `notExpressible` names what such metadata cannot say.
  package func ggufVocabulary(
    rows: Int
  ) throws(TokenizerError) -> (GGUFVocabulary, warnings: [String]) {
    var writer = GGUFVocabularyWriter(description: try storedDescription())
    let vocabulary = try writer.vocabulary(rows: rows)
    let copy = try Tokenizer.gguf(vocabulary, path: GGUFVocabularyWriter.format)
    for text in SerializedTokenizerWriter.selfCheckTexts {
      // Whoever reads the file splits what is normalized here as it stands.
      let isSame = copy.encode(text) == encode(text)
      if !isSame, writer.dropped.isEmpty {
        throw .notExpressible(
          format: GGUFVocabularyWriter.format, found: "another encoding of \"\(text)\"",
          supported: "tokenizers that give the same ids when they are read again")
      }
    }
    return (vocabulary, writer.dropped)
  }
}

/// Writes a description as the metadata of a GGUF file, the inverse of its importer.
private struct GGUFVocabularyWriter {
  var description: TokenizerDescription
  /// What gets lost, for the user.
  var dropped: [String] = []

  static let format = "GGUF metadata"

  private func failure(_ found: String, _ supported: String) -> TokenizerError {
    .notExpressible(format: Self.format, found: found, supported: supported)
  }

  mutating func vocabulary(rows: Int) throws(TokenizerError) -> GGUFVocabulary {
    var vocabulary: GGUFVocabulary
    switch description.model {
    case .byteLevelBPE: vocabulary = try byteLevel()
    case .scoredBPE: vocabulary = try sentencePiece()
    case .unigram, .wordPiece, .wordLevel:
      throw failure("\(description.model)", "byte-level BPE and SentencePiece's BPE")
    }
    try setSpecials(of: &vocabulary)
    for id in vocabulary.tokens.count..<max(rows, vocabulary.tokens.count) {
      vocabulary.tokens.append(Array("[PAD\(id)]".utf8))
      vocabulary.tokenTypes.append(Self.unused)
      if !vocabulary.scores.isEmpty { vocabulary.scores.append(-1e9) }
    }
    return vocabulary
  }

  // `llama_token_type` of llama.cpp.
  private static let normal: Int32 = 1
  private static let unknown: Int32 = 2
  private static let control: Int32 = 3
  private static let userDefined: Int32 = 4
  private static let unused: Int32 = 5
  private static let byte: Int32 = 6

  private func addedTypes() -> [Int32: Int32] {
    var types: [Int32: Int32] = [:]
    for token in description.addedTokens {
      types[token.id] = token.flags.contains(.special) ? Self.control : Self.userDefined
    }
    return types
  }

  // MARK: Byte-level BPE

  private mutating func byteLevel() throws(TokenizerError) -> GGUFVocabulary {
    var vocabulary = GGUFVocabulary(model: "gpt2", tokens: [])
    vocabulary.preTokenizer = try preTokenizer()
    let added = addedTypes()
    for (id, piece) in description.pieces.enumerated() {
      if let type = added[Int32(id)] {
        vocabulary.tokens.append(piece.bytes)
        vocabulary.tokenTypes.append(type)
      } else if piece.flags.contains(.lookup) {
        vocabulary.tokens.append(Array(ByteAlphabet.piece(piece.bytes).utf8))
        vocabulary.tokenTypes.append(Self.normal)
      } else {
        let isNamed = !piece.bytes.isEmpty
        vocabulary.tokens.append(isNamed ? piece.bytes : Array("[unused\(id)]".utf8))
        vocabulary.tokenTypes.append(
          isNamed && piece.flags.contains(.special) ? Self.control : Self.unused)
      }
    }
    for merge in description.merges {
      let halves = [merge.left, merge.right].map {
        Array(ByteAlphabet.piece(description.pieces[Int($0)].bytes).utf8)
      }
      vocabulary.merges.append(halves[0] + [UInt8(ascii: " ")] + halves[1])
    }
    return vocabulary
  }

  /// The name for the steps before the model.
  private mutating func preTokenizer() throws(TokenizerError) -> String {
    var steps = description.steps.filter {
      $0.kind != .byteAlphabet && $0.kind.rawValue < TokenizerStep.Kind.scores.rawValue
    }
    let normalizers = steps.filter { $0.kind.rawValue < TokenizerStep.Kind.gpt2Words.rawValue }
    guard normalizers.allSatisfy({ $0.kind == .nfc }) else {
      throw failure("a normalizer before byte-level BPE", "none, or NFC")
    }
    if !normalizers.isEmpty {
      dropped.append(
        "GGUF has no word for normalization: text is no longer brought to NFC before it is split")
      steps.removeAll { $0.kind == .nfc }
    }
    let ignoresMerges = description.options.contains(.ignoresMerges)
    guard let name = GGUFPreTokenizers.name(steps, ignoresMerges: ignoresMerges) else {
      throw failure(
        "a way of splitting text into words that has no name in llama.cpp",
        "one of " + GGUFPreTokenizers.names.joined(separator: ", "))
    }
    return name
  }

  // MARK: SentencePiece

  private mutating func sentencePiece() throws(TokenizerError) -> GGUFVocabulary {
    SpaceEscaping.apply(to: &description)
    var vocabulary = GGUFVocabulary(model: "llama", tokens: [])
    vocabulary.addsSpacePrefix = try addsSpacePrefix()
    vocabulary.preTokenizer = "default"
    let added = addedTypes()
    let bytes = Set(description.byteTokens.filter { $0 >= 0 })
    let scores = try scores()
    for (id, piece) in description.pieces.enumerated() {
      vocabulary.tokens.append(
        piece.bytes.isEmpty ? Array("[unused\(id)]".utf8) : piece.bytes)
      vocabulary.scores.append(scores[id])
      let type =
        if description.unknown == Int32(id) {
          Self.unknown
        } else if bytes.contains(Int32(id)) {
          Self.byte
        } else if let type = added[Int32(id)] {
          type
        } else if piece.flags.contains(.special) {
          Self.control
        } else {
          piece.flags.contains(.lookup) ? Self.normal : Self.unused
        }
      vocabulary.tokenTypes.append(type)
    }
    return vocabulary
  }

  /// Whether a space goes before a text; all other steps must be those of every such tokenizer.
  private mutating func addsSpacePrefix() throws(TokenizerError) -> Bool {
    var adds = false
    var escapes = false
    let space = [UInt8(ascii: " ")]
    for step in description.steps {
      switch step.kind {
      case .prepend where step.first == Metaspace.bytes: adds = true
      case .replace where step.first == space && step.second == Metaspace.bytes: escapes = true
      case .metaspace where step.first == Metaspace.bytes:
        escapes = true
        adds = step.flags & 6 != 0
      case .split where escapes || step.first == space: break  // Where nothing merges anyway.
      case .sentencePiece:
        let options = SentencePieceNormalizer.Options(rawValue: step.flags)
        guard step.first.isEmpty, options.contains(.escapesSpaces),
          !options.contains(.spacesAreSuffixes), !options.contains(.removesExtraSpaces)
        else { throw failure("SentencePiece's normalization", "none before its BPE") }
        escapes = true
        adds = options.contains(.addsDummyPrefix)
      case .nfc, .nfd, .nfkc, .nfkd, .lowercase, .strip, .stripAccents, .replace, .prepend,
        .append, .bert, .nmt, .precompiled:
        throw failure("a normalizer before SentencePiece's BPE", "none but for spaces")
      case .beforeRuns, .decodeReplace, .decodeBytes, .decodeFuse, .decodeStrip,
        .decodeMetaspace, .decodeSpaces:
        break
      default:
        throw failure("words before SentencePiece's BPE", "text as a whole")
      }
    }
    guard escapes else {
      throw failure("a vocabulary without ▁ for spaces", "SentencePiece's")
    }
    return adds
  }

  /// Scores that order the pieces as the merges do: those of what merges first are the highest.
  ///
  /// - Throws: `notExpressible` where merges cannot be told from the pieces they lead to, which is
  ///   all that scores can say.
  private func scores() throws(TokenizerError) -> [Float] {
    var scores = [Float](repeating: 0, count: description.pieces.count)
    var isScored = [Bool](repeating: false, count: description.pieces.count)
    var previous: (rank: UInt32, result: Int32, score: Float)?
    for merge in description.merges {
      let result = Int(merge.result)
      if let last = previous, last.result == merge.result || last.rank == merge.rank {
        previous = (merge.rank, merge.result, last.score)
      } else {
        previous = (merge.rank, merge.result, (previous?.score ?? 0) - 1)
      }
      let score = previous?.score ?? 0
      guard !isScored[result] || scores[result] == score else {
        throw failure(
          "merges of one piece with others of another rank between them",
          "a rank for each piece, as SentencePiece has")
      }
      scores[result] = score
      isScored[result] = true
    }
    // Pieces that nothing merges to, single characters, come last, as SentencePiece writes them.
    let lowest = (previous?.score ?? 0) - 1
    for (id, piece) in description.pieces.enumerated()
    where piece.flags.contains(.lookup) && !isScored[id] {
      scores[id] = lowest
    }
    return scores
  }

  // MARK: Specials

  private func setSpecials(of vocabulary: inout GGUFVocabulary) throws(TokenizerError) {
    vocabulary.beginOfSequence = description.beginOfSequence.map { Int($0) }
    vocabulary.endOfSequence = description.endOfSequence.map { Int($0) }
    vocabulary.unknown = description.unknown.map { Int($0) }
    let begins = description.beginOfSequence.map { [$0] }
    let ends = description.endOfSequence.map { [$0] }
    guard description.prefix.isEmpty || description.prefix == begins,
      description.suffix.isEmpty || description.suffix == ends
    else {
      throw failure(
        "other tokens around a text than its beginning and end", "the beginning or the end")
    }
    vocabulary.addsBeginOfSequence = !description.prefix.isEmpty
    vocabulary.addsEndOfSequence = !description.suffix.isEmpty
  }
}

extension GGUFPreTokenizers {
  /// The name that means these steps; of several the best known one.
  static func name(_ steps: [TokenizerStep], ignoresMerges: Bool) -> String? {
    let steps = steps == [.bloomWords] ? rules("bloom")?.steps ?? steps : steps
    let found = names.filter { name in
      rules(name)?.steps == steps && rules(name)?.ignoresMerges == ignoresMerges
    }
    let best = ["gpt-2", "llama-bpe", "qwen2", "starcoder"]
    return found.first { best.contains($0) } ?? found.first
  }
}

extension TokenizerStep {
  /// What BLOOM's own file says, and "bloom" means.
  fileprivate static let bloomWords = TokenizerStep.split(
    expression: #" ?[^(\s|[.,!?…。，、।۔،])]+"#)
}
