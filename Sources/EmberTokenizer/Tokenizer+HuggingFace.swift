import SystemPackage

extension Tokenizer {
  /// Reads a Hugging Face `tokenizer.json` with a BPE model and a ByteLevel pre-tokenizer, and
  /// encodes as the `tokenizers` library does.
  ///
  /// Padding and truncation in the file are left aside: they are about batches.
  ///
  /// - Parameters:
  ///   - beginOfSequence: `bos_token_id` of the model's `config.json`, if it has one.
  ///   - endOfSequence: `eos_token_id`, likewise.
  /// - Throws: `unsupported` names what was found and what is supported; `unreadable`,
  ///   `fileTooLarge`, `invalidJSON`, `invalidField`, `duplicateId`, `conflictingPiece`,
  ///   `idOutOfRange`, `mergeTokenMissing`, `specialIdOutOfRange`, `hashCollisions`.
  public static func huggingFace(
    tokenizerJSON path: FilePath, beginOfSequence: Int?, endOfSequence: Int?
  ) throws(TokenizerError) -> Tokenizer {
    let bytes = try TokenizerFile.read(path)
    let json = try JSONParser.parse(bytes, path: path.string)
    let file = HuggingFaceFile(json: json, path: path.string)
    var importer = HuggingFaceImporter(file, byteCount: bytes.count)
    let description = try importer.description(
      beginOfSequence: beginOfSequence, endOfSequence: endOfSequence)
    return try Tokenizer(
      serialized: try SerializedTokenizerWriter.write(description, path: path.string))
  }
}

/// Builds a description from the parts of a `tokenizer.json`.
private struct HuggingFaceImporter {
  private let file: HuggingFaceFile
  private let byteCount: Int
  private var description = TokenizerDescription(model: .byteLevelBPE)

  init(_ file: HuggingFaceFile, byteCount: Int) {
    self.file = file
    self.byteCount = byteCount
  }

  mutating func description(
    beginOfSequence: Int?, endOfSequence: Int?
  ) throws(TokenizerError) -> TokenizerDescription {
    try file.checkUnsupportedParts()
    description.preTokenizer = try file.preTokenizer(&description.options)
    try file.modelOptions(&description.options)
    let vocabulary = try file.vocabulary()
    let added = try file.addedTokens()
    try makePieces(vocabulary, added)
    try makeMerges(vocabulary)
    let template = try file.template()
    description.prefix = try template.prefix.map { id throws(TokenizerError) in
      try special(id, "post_processor special token")
    }
    description.suffix = try template.suffix.map { id throws(TokenizerError) in
      try special(id, "post_processor special token")
    }
    if let id = beginOfSequence {
      description.beginOfSequence = try special(id, "beginning-of-sequence")
    } else if description.prefix.count == 1 {
      description.beginOfSequence = description.prefix[0]
    }
    if let id = endOfSequence { description.endOfSequence = try special(id, "end-of-sequence") }
    return description
  }

  /// Such an id is in the vocabulary and not printed.
  private mutating func special(_ id: Int, _ name: String) throws(TokenizerError) -> Int32 {
    guard id >= 0, id < description.pieces.count else {
      throw .specialIdOutOfRange(
        path: file.path, name: name, id: id, vocabularySize: description.pieces.count)
    }
    description.pieces[id].flags.insert(.special)
    return Int32(id)
  }

  private mutating func makePieces(
    _ vocabulary: [HuggingFaceFile.Entry], _ added: [HuggingFaceFile.Added]
  ) throws(TokenizerError) {
    // Each entry takes several bytes of the file, so a higher id would leave mostly holes.
    let limit = byteCount
    var highest = -1
    for entry in vocabulary + added.map(\.entry) {
      guard entry.id >= 0, entry.id <= limit else {
        throw .idOutOfRange(path: file.path, piece: entry.piece, id: entry.id, limit: limit)
      }
      highest = max(highest, entry.id)
    }
    guard highest >= 0 else {
      throw .invalidField(
        path: file.path, field: "model.vocab", expected: "at least one piece", found: "none")
    }
    description.pieces = .init(repeating: .init(), count: highest + 1)
    var names = [String?](repeating: nil, count: highest + 1)
    for entry in vocabulary {
      if let first = names[entry.id] {
        throw .duplicateId(path: file.path, id: entry.id, first: first, second: entry.piece)
      }
      names[entry.id] = entry.piece
      if let bytes = ByteAlphabet.bytes(entry.piece), !bytes.isEmpty {
        description.pieces[entry.id] = .init(bytes: bytes, flags: .lookup)
        if bytes.count == 1 { description.byteTokens[Int(bytes[0])] = Int32(entry.id) }
      } else {
        // No text leads to this piece; it decodes to its name, as in Hugging Face's decoder.
        description.pieces[entry.id] = .init(bytes: Array(entry.piece.utf8), flags: [])
      }
    }
    try addTokens(added, &names)
  }

  private mutating func addTokens(
    _ added: [HuggingFaceFile.Added], _ names: inout [String?]
  ) throws(TokenizerError) {
    var isAdded = Set<Int>()
    for token in added {
      let (piece, id) = (token.entry.piece, token.entry.id)
      if let first = names[id], !first.utf8.elementsEqual(piece.utf8) {
        throw .duplicateId(path: file.path, id: id, first: first, second: piece)
      }
      let isModelPiece = names[id] != nil && !isAdded.contains(id)
      // A token that is also in the model's vocabulary keeps what the model knows of it.
      if !isModelPiece || ByteAlphabet.bytes(piece) != Array(piece.utf8) {
        description.pieces[id] = .init(bytes: Array(piece.utf8), flags: [])
      }
      names[id] = piece
      if token.flags.contains(.special) { description.pieces[id].flags.insert(.special) }
      if piece.isEmpty { continue }
      if isAdded.insert(id).inserted {
        description.addedTokens.append(.init(id: Int32(id), flags: token.flags))
      }
    }
  }

  private mutating func makeMerges(
    _ vocabulary: [HuggingFaceFile.Entry]
  ) throws(TokenizerError) {
    let names = vocabulary.map { Array($0.piece.utf8) }
    guard let table = PieceTable(names) else { throw .hashCollisions(path: file.path) }
    for (index, name) in names.enumerated() {
      if let first = table.find(name), first != index {
        throw .conflictingPiece(
          path: file.path, piece: vocabulary[index].piece, first: vocabulary[first].id,
          second: vocabulary[index].id)
      }
    }
    for added in description.addedTokens {
      let piece = description.pieces[Int(added.id)].bytes
      if let found = table.find(piece), vocabulary[found].id != Int(added.id) {
        throw .conflictingPiece(
          path: file.path, piece: vocabulary[found].piece, first: vocabulary[found].id,
          second: Int(added.id))
      }
    }
    func id(_ name: String, _ merge: Int) throws(TokenizerError) -> Int32 {
      guard let found = table.find(Array(name.utf8)) else {
        throw .mergeTokenMissing(path: file.path, merge: merge, token: name)
      }
      return Int32(vocabulary[found].id)
    }
    for (rank, pair) in try file.merges().enumerated() {
      description.merges.append(
        .init(
          left: try id(pair.left, rank), right: try id(pair.right, rank), rank: UInt32(rank),
          result: try id(pair.left + pair.right, rank)))
    }
    if let unknown = try file.unknownToken() {
      guard let found = table.find(Array(unknown.utf8)) else {
        throw .invalidField(
          path: file.path, field: "model.unk_token", expected: "a piece of the vocabulary",
          found: unknown)
      }
      description.unknown = Int32(vocabulary[found].id)
    }
  }
}
