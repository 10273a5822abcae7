extension Tokenizer {
  /// The tokenizer of a GGUF file's vocabulary, encoding as llama.cpp does: byte-level BPE ("gpt2"),
  /// SentencePiece BPE ("llama"), Unigram ("t5") and WordPiece ("bert").
  ///
  /// - Parameter path: of the file, which errors name.
  /// - Throws: `unsupported` for another model or an unknown `tokenizer.ggml.pre`; `invalidField`,
  ///   `specialIdOutOfRange`, `mergeTokenMissing`, `tooManyMerges`, `hashCollisions`,
  ///   `conflictingPiece`, `invalidVocabularySize`.
  public static func gguf(
    _ vocabulary: GGUFVocabulary, path: String
  ) throws(TokenizerError) -> Tokenizer {
    let importer = GGUFImporter(vocabulary: vocabulary, path: path)
    return try Tokenizer(
      serialized: try SerializedTokenizerWriter.write(try importer.description(), path: path))
  }
}

private struct GGUFImporter {
  let vocabulary: GGUFVocabulary
  let path: String

  private static let tokenLimit = 1 << 22

  private func failure(_ key: String, _ expected: String, _ found: String) -> TokenizerError {
    .invalidField(path: path, field: "tokenizer.ggml.\(key)", expected: expected, found: found)
  }

  func description() throws(TokenizerError) -> TokenizerDescription {
    let count = vocabulary.tokens.count
    guard count > 0, count <= Self.tokenLimit else {
      throw .invalidVocabularySize(path: path, found: count, limit: Self.tokenLimit)
    }
    for (key, found) in [
      ("scores", vocabulary.scores.count), ("token_type", vocabulary.tokenTypes.count),
    ] where found != 0 && found != count {
      throw failure(key, "\(count), one for each token", "\(found)")
    }
    var description: TokenizerDescription
    switch vocabulary.model {
    case "gpt2": description = try byteLevel()
    case "llama": description = try sentencePiece(isUnigram: false)
    case "t5": description = try sentencePiece(isUnigram: true)
    case "bert": description = try wordPiece()
    case let model:
      throw .unsupported(
        path: path, field: "tokenizer.ggml.model", found: model,
        supported: "gpt2, llama, t5, bert")
    }
    try setSpecials(&description)
    return description
  }

  private func type(_ id: Int) -> SentencePieceFile.PieceType {
    guard id < vocabulary.tokenTypes.count else { return .normal }
    let value = UInt64(clamping: vocabulary.tokenTypes[id])
    return SentencePieceFile.PieceType(rawValue: value) ?? .normal
  }

  // MARK: Byte-level BPE

  private func byteLevel() throws(TokenizerError) -> TokenizerDescription {
    let name = vocabulary.preTokenizer ?? "default"
    guard let rules = GGUFPreTokenizers.rules(name) else {
      throw .unsupported(
        path: path, field: "tokenizer.ggml.pre", found: name,
        supported: GGUFPreTokenizers.names.joined(separator: ", "))
    }
    var description = TokenizerDescription(model: .byteLevelBPE)
    description.steps = rules.steps + [.init(kind: .byteAlphabet)]
    if rules.ignoresMerges { description.options.insert(.ignoresMerges) }
    guard let table = PieceTable(vocabulary.tokens) else { throw .hashCollisions(path: path) }
    for (id, token) in vocabulary.tokens.enumerated() {
      var piece = TokenizerDescription.Piece(bytes: token, flags: [])
      let text = String(validating: token, as: UTF8.self)
      let kind = type(id)
      if kind == .normal, table.find(token) == id, let text,
        let bytes = ByteAlphabet.bytes(text), !bytes.isEmpty
      {
        piece = .init(bytes: bytes, flags: .lookup)
        if bytes.count == 1 { description.byteTokens[Int(bytes[0])] = Int32(id) }
      } else if kind != .normal && kind != .unused && !token.isEmpty && text != nil {
        let isSpecial = kind == .control || kind == .unknown
        if isSpecial { piece.flags = .special }
        // llama.cpp finds these in the text as it stands, longest first.
        description.addedTokens.append(.init(id: Int32(id), flags: isSpecial ? .special : []))
      }
      if token.isEmpty || kind == .unused { piece.flags.insert(.unused) }
      description.pieces.append(piece)
    }
    for (rank, merge) in vocabulary.merges.enumerated() {
      // A space cannot be the first byte of a token here: it has a stand-in.
      guard let space = merge.dropFirst().firstIndex(of: UInt8(ascii: " ")) else {
        throw failure("merges", "two tokens with a space between", Self.shown(merge))
      }
      let (left, right) = (Array(merge[..<space]), Array(merge[(space + 1)...]))
      var ids: [Int32] = []
      for token in [left, right, left + right] {
        guard let found = table.find(token) else {
          throw .mergeTokenMissing(path: path, merge: rank, token: Self.shown(token))
        }
        ids.append(Int32(found))
      }
      description.merges.append(
        .init(left: ids[0], right: ids[1], rank: UInt32(rank), result: ids[2]))
    }
    if vocabulary.addsBeginOfSequence ?? rules.addsBegin, let begin = vocabulary.beginOfSequence {
      description.prefix = [try special(begin, "beginning-of-sequence")]
    }
    if vocabulary.addsEndOfSequence == true, let end = vocabulary.endOfSequence {
      description.suffix = [try special(end, "end-of-sequence")]
    }
    return description
  }

  private static func shown(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

  // MARK: SentencePiece

  private func sentencePiece(isUnigram: Bool) throws(TokenizerError) -> TokenizerDescription {
    var source = SentencePieceSource(path: path)
    source.isUnigram = isUnigram
    guard vocabulary.scores.count == vocabulary.tokens.count else {
      throw failure("scores", "one for each token", "none")
    }
    for (id, token) in vocabulary.tokens.enumerated() {
      var kind = type(id)
      if kind == .byte { source.hasByteFallback = true }
      let isText = String(validating: token, as: UTF8.self) != nil && !token.isEmpty
      if !isText || (kind == .unused && !isUnigram) { kind = .control }
      source.pieces.append(.init(bytes: token, score: vocabulary.scores[id], type: kind))
    }
    source.characterMap = vocabulary.precompiledCharacterMap
    source.normalizer = .escapesSpaces
    if vocabulary.addsSpacePrefix ?? true { source.normalizer.insert(.addsDummyPrefix) }
    if vocabulary.removesExtraWhitespaces ?? isUnigram {
      source.normalizer.insert(.removesExtraSpaces)
    }
    source.beginOfSequence = vocabulary.beginOfSequence ?? (isUnigram ? nil : 1)
    source.endOfSequence = vocabulary.endOfSequence ?? (isUnigram ? 1 : 2)
    source.addsBegin = vocabulary.addsBeginOfSequence ?? !isUnigram
    source.addsEnd = vocabulary.addsEndOfSequence ?? isUnigram
    var description = try source.description()
    // Such a token has no text to be found by.
    description.addedTokens.removeAll { token in
      let bytes = description.pieces[Int(token.id)].bytes
      return bytes.isEmpty || String(validating: bytes, as: UTF8.self) == nil
    }
    return description
  }

  // MARK: WordPiece

  /// Words begin with ▁ here, and continuing pieces with nothing.
  private func wordPiece() throws(TokenizerError) -> TokenizerDescription {
    var description = TokenizerDescription(model: .wordPiece)
    let prefix = Array("##".utf8)
    description.steps = [
      .init(kind: .bert, flags: 15), .init(kind: .bertWords),
      .init(kind: .wordPiece, first: prefix, second: TokenizerStep.words(100)),
      .init(kind: .decodeWordPiece, flags: 1, first: prefix),
    ]
    for (id, token) in vocabulary.tokens.enumerated() {
      if type(id) != .normal {
        description.pieces.append(.init(bytes: token, flags: .special))
        if !token.isEmpty, String(validating: token, as: UTF8.self) != nil {
          description.addedTokens.append(.init(id: Int32(id), flags: .special))
        }
        continue
      }
      let isStart = token.starts(with: Metaspace.bytes)
      let bytes = isStart ? Array(token.dropFirst(3)) : prefix + token
      description.pieces.append(.init(bytes: bytes, flags: bytes.isEmpty ? [] : .lookup))
    }
    let entries = description.pieces.map(\.bytes)
    guard let table = PieceTable(entries, includes: { !entries[$0].isEmpty }) else {
      throw .hashCollisions(path: path)
    }
    for id in entries.indices where description.pieces[id].flags.contains(.lookup) {
      if table.find(entries[id]) != id { description.pieces[id].flags.remove(.lookup) }
    }
    description.unknown = try special(vocabulary.unknown ?? 100, "unknown-token")
    if let begin = vocabulary.classification ?? vocabulary.beginOfSequence {
      description.prefix = [try special(begin, "beginning-of-sequence")]
    }
    if let end = vocabulary.separator ?? vocabulary.endOfSequence {
      description.suffix = [try special(end, "separator")]
    }
    return description
  }

  // MARK: Specials

  private func special(_ id: Int, _ name: String) throws(TokenizerError) -> Int32 {
    guard id >= 0, id < vocabulary.tokens.count else {
      throw .specialIdOutOfRange(
        path: path, name: name, id: id, vocabularySize: vocabulary.tokens.count)
    }
    return Int32(id)
  }

  private func setSpecials(_ description: inout TokenizerDescription) throws(TokenizerError) {
    let begin = vocabulary.beginOfSequence ?? vocabulary.classification
    if let begin { description.beginOfSequence = try special(begin, "beginning-of-sequence") }
    let end = vocabulary.endOfSequence ?? vocabulary.separator
    if let end { description.endOfSequence = try special(end, "end-of-sequence") }
    for id in [description.beginOfSequence, description.endOfSequence, description.unknown] {
      guard let id else { continue }
      // Some vocabularies use a word of the text for it; that one stays printed.
      if description.pieces[Int(id)].flags.contains(.lookup) && description.unknown != id {
        if type(Int(id)) == .normal { continue }
      }
      description.pieces[Int(id)].flags.insert(.special)
    }
  }
}
