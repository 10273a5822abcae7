/// A SentencePiece vocabulary with its settings, from `tokenizer.model` or from a GGUF file.
struct SentencePieceSource {
  let path: String
  var pieces: [SentencePieceFile.Piece] = []
  var isUnigram = false
  var hasByteFallback = false
  var normalizer: SentencePieceNormalizer.Options = []
  var characterMap: [UInt8] = []
  var beginOfSequence: Int?
  var endOfSequence: Int?
  var addsBegin = false
  var addsEnd = false

  init(path: String) { self.path = path }

  func description() throws(TokenizerError) -> TokenizerDescription {
    var description = TokenizerDescription(model: isUnigram ? .unigram : .scoredBPE)
    // Only these can come from text; the others are names.
    let entries = pieces.map { piece in
      piece.type == .normal || piece.type == .userDefined || piece.type == .unused
        ? piece.bytes : []
    }
    guard let table = PieceTable(entries, includes: { !entries[$0].isEmpty }) else {
      throw .hashCollisions(path: path)
    }
    if let unused = pieces.firstIndex(where: { $0.type == .unused }), !isUnigram {
      throw .unsupported(
        path: path, field: "pieces[\(unused)].type", found: "unused, in a BPE model",
        supported: "normal, unknown, control, user defined, byte")
    }
    for (id, piece) in pieces.enumerated() { try add(piece, id, table, to: &description) }
    try addSteps(&description)
    if !isUnigram {
      let ranks = ConcatenationMerges.ranks(pieces.map(\.score))
      description.merges = try ConcatenationMerges.make(
        entries, table, path: path, rank: { ranks[pieces[$0].score] },
        takesPart: { pieces[$0].type == .normal })
      description.options.insert(.fusesUnknown)
      if let runs = BeforeRuns.character(of: description) {
        description.steps.append(.init(kind: .beforeRuns, first: runs))
      }
    } else {
      description.options.formUnion([.usesSinglePrecision, .fusesUnknown])
      description.steps.append(.init(scores: pieces.map { Double($0.score) }))
    }
    if hasByteFallback { description.options.insert(.fallsBackToBytes) }
    addDecoders(&description)
    setSpecials(&description)
    return description
  }

  private func add(
    _ piece: SentencePieceFile.Piece, _ id: Int, _ table: PieceTable,
    to description: inout TokenizerDescription
  ) throws(TokenizerError) {
    var flags: PieceFlags = []
    switch piece.type {
    case .normal, .userDefined:
      guard let found = table.find(piece.bytes), found == id else {
        throw .conflictingPiece(
          path: path, piece: String(decoding: piece.bytes, as: UTF8.self),
          first: table.find(piece.bytes) ?? 0, second: id)
      }
      flags = .lookup
      if piece.type == .userDefined {
        // Unigram prefers it by its score; BPE takes it out before anything merges.
        if isUnigram {
          flags.insert(.userDefined)
        } else {
          description.addedTokens.append(.init(id: Int32(id), flags: .normalized))
        }
      }
    case .unknown:
      if description.unknown == nil { description.unknown = Int32(id) }
      flags = .special
    case .control:
      flags = .special
      description.addedTokens.append(.init(id: Int32(id), flags: .special))
    case .byte:
      if hasByteFallback,
        let byte = piece.bytes.withUnsafeBufferPointer({ DecoderPlan.byteValue($0) })
      {
        description.byteTokens[Int(byte)] = Int32(id)
      }
    case .unused: break
    }
    description.pieces.append(.init(bytes: piece.bytes, flags: flags))
  }

  private func addSteps(_ description: inout TokenizerDescription) throws(TokenizerError) {
    if !characterMap.isEmpty && CharacterMap(characterMap) == nil {
      throw .invalidField(
        path: path, field: "normalizer_spec.precompiled_charsmap",
        expected: "a character map", found: "\(characterMap.count) bytes of something else")
    }
    var symbols: [UInt8] = []
    for piece in pieces where piece.type == .userDefined { symbols += piece.bytes + [0] }
    description.steps.append(
      .init(
        kind: .sentencePiece, flags: normalizer.rawValue, first: characterMap, second: symbols))
  }

  private func addDecoders(_ description: inout TokenizerDescription) {
    if normalizer.contains(.escapesSpaces) {
      description.steps.append(
        .init(kind: .decodeReplace, first: Metaspace.bytes, second: [UInt8(ascii: " ")]))
    }
    if hasByteFallback { description.steps.append(.init(kind: .decodeBytes)) }
    let removes = normalizer.contains(.removesExtraSpaces)
    if removes || normalizer.contains(.addsDummyPrefix) {
      description.steps.append(.init(kind: .decodeFuse))
      description.steps.append(
        .init(
          kind: .decodeStrip, flags: removes ? 1 : 0, first: [UInt8(ascii: " ")],
          second: TokenizerStep.words(1, 0)))
    }
  }

  private func setSpecials(_ description: inout TokenizerDescription) {
    func id(_ number: Int?) -> Int32? {
      guard let number, number >= 0, number < pieces.count else { return nil }
      description.pieces[number].flags.insert(.special)
      return Int32(number)
    }
    description.beginOfSequence = id(beginOfSequence)
    description.endOfSequence = id(endOfSequence)
    if addsBegin, let begin = description.beginOfSequence { description.prefix = [begin] }
    if addsEnd, let end = description.endOfSequence { description.suffix = [end] }
  }
}
