import SystemPackage

extension Tokenizer {
  /// Reads a Hugging Face `tokenizer.json` and encodes as the `tokenizers` library does.
  ///
  /// Models: BPE (byte-level, or of characters with or without byte fallback), Unigram, WordPiece,
  /// WordLevel; the steps around them are listed in docs/tokenizers.md. Padding and truncation in
  /// the file are left aside: they are about batches.
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
    try huggingFace(
      json: try TokenizerFile.read(path), path: path.string, beginOfSequence: beginOfSequence,
      endOfSequence: endOfSequence)
  }

  /// The same from the text of such a file.
  ///
  /// - Parameter path: what errors call it.
  static func huggingFace(
    json bytes: [UInt8], path: String, beginOfSequence: Int?, endOfSequence: Int?
  ) throws(TokenizerError) -> Tokenizer {
    let json = try JSONParser.parse(bytes, path: path)
    let file = HuggingFaceFile(json: json, path: path)
    var importer = HuggingFaceImporter(file, byteCount: bytes.count)
    let description = try importer.description(
      beginOfSequence: beginOfSequence, endOfSequence: endOfSequence)
    return try Tokenizer(
      serialized: try SerializedTokenizerWriter.write(description, path: path))
  }
}

/// Builds a description from the parts of a `tokenizer.json`.
private struct HuggingFaceImporter {
  private let file: HuggingFaceFile
  private let byteCount: Int
  private var description = TokenizerDescription(model: .byteLevelBPE)
  private var steps = HuggingFaceFile.Steps()

  init(_ file: HuggingFaceFile, byteCount: Int) {
    self.file = file
    self.byteCount = byteCount
  }

  mutating func description(
    beginOfSequence: Int?, endOfSequence: Int?
  ) throws(TokenizerError) -> TokenizerDescription {
    try file.checkUnsupportedParts()
    let kind = try file.modelKind()
    steps = try file.steps()
    if steps.isByteLevel && kind != .bpe {
      throw .unsupported(
        path: file.path, field: "model.type", found: "\(kind.rawValue) with ByteLevel",
        supported: "BPE with ByteLevel")
    }
    let added = try file.addedTokens()
    var scores: [Double] = []
    switch kind {
    case .bpe:
      description.model = steps.isByteLevel ? .byteLevelBPE : .scoredBPE
      let vocabulary = try file.vocabulary()
      let table = try makePieces(vocabulary, added)
      try makeMerges(vocabulary, table)
      try setByteLevelOptions(vocabulary, table)
    case .wordPiece, .wordLevel:
      description.model = kind == .wordPiece ? .wordPiece : .wordLevel
      let vocabulary = try file.vocabulary()
      let table = try makePieces(vocabulary, added)
      try setUnknown(
        vocabulary, table, default: kind == .wordPiece ? "[UNK]" : "<unk>", isNeeded: true)
      if kind == .wordPiece { steps.preTokenizers.append(try wordPieceStep()) }
    case .unigram:
      description.model = .unigram
      scores = try makeUnigram(added)
    }
    let padded = scores + repeatElement(0, count: description.pieces.count - scores.count)
    if kind == .unigram { steps.preTokenizers.append(.init(scores: padded)) }
    description.steps = steps.normalizers + steps.preTokenizers + steps.decoders
    try normalizeAddedTokens()
    try setSpecials(beginOfSequence, endOfSequence)
    return description
  }

  private mutating func setSpecials(_ begin: Int?, _ end: Int?) throws(TokenizerError) {
    let template = try file.template()
    description.prefix = try template.prefix.map { id throws(TokenizerError) in
      try special(id, "post_processor special token")
    }
    description.suffix = try template.suffix.map { id throws(TokenizerError) in
      try special(id, "post_processor special token")
    }
    if let id = begin {
      description.beginOfSequence = try special(id, "beginning-of-sequence")
    } else if description.prefix.count == 1 {
      description.beginOfSequence = description.prefix[0]
    }
    if let id = end { description.endOfSequence = try special(id, "end-of-sequence") }
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

  // MARK: Pieces

  /// - Returns: the vocabulary's pieces by their names.
  private mutating func makePieces(
    _ vocabulary: [HuggingFaceFile.Entry], _ added: [HuggingFaceFile.Added]
  ) throws(TokenizerError) -> PieceTable {
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
      description.pieces[entry.id] = piece(entry)
    }
    try addTokens(added, &names)
    guard let table = PieceTable(vocabulary.map { Array($0.piece.utf8) }) else {
      throw .hashCollisions(path: file.path)
    }
    for (index, entry) in vocabulary.enumerated() {
      if let first = table.find(Array(entry.piece.utf8)), first != index {
        throw .conflictingPiece(
          path: file.path, piece: entry.piece, first: vocabulary[first].id, second: entry.id)
      }
    }
    for token in added {
      if let found = table.find(Array(token.entry.piece.utf8)), !token.entry.piece.isEmpty,
        vocabulary[found].id != token.entry.id
      {
        throw .conflictingPiece(
          path: file.path, piece: vocabulary[found].piece, first: vocabulary[found].id,
          second: token.entry.id)
      }
    }
    return table
  }

  private mutating func piece(_ entry: HuggingFaceFile.Entry) -> TokenizerDescription.Piece {
    if description.model != .byteLevelBPE {
      let bytes = Array(entry.piece.utf8)
      return .init(bytes: bytes, flags: bytes.isEmpty ? [] : .lookup)
    }
    guard let bytes = ByteAlphabet.bytes(entry.piece), !bytes.isEmpty else {
      // No text leads to this piece; it decodes to its name, as in Hugging Face's decoder.
      return .init(bytes: Array(entry.piece.utf8), flags: [])
    }
    if bytes.count == 1 { description.byteTokens[Int(bytes[0])] = Int32(entry.id) }
    return .init(bytes: bytes, flags: .lookup)
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
      let keeps =
        isModelPiece
        && (description.model != .byteLevelBPE || ByteAlphabet.bytes(piece) == Array(piece.utf8))
      if !keeps { description.pieces[id] = .init(bytes: Array(piece.utf8), flags: []) }
      names[id] = piece
      if token.flags.contains(.special) { description.pieces[id].flags.insert(.special) }
      if piece.isEmpty { continue }
      if isAdded.insert(id).inserted {
        description.addedTokens.append(.init(id: Int32(id), flags: token.flags))
      }
    }
  }

  /// Tokens that are searched for in the normalized text are normalized themselves.
  private mutating func normalizeAddedTokens() throws(TokenizerError) {
    var normalizers: [NormalizerStep] = []
    for step in steps.normalizers {
      // `HuggingFaceFile.steps` has compiled each of them once already.
      if let normalizer = try? NormalizerStep(step) { normalizers.append(normalizer) }
    }
    if normalizers.isEmpty { return }
    for index in description.addedTokens.indices
    where description.addedTokens[index].flags.contains(.normalized) {
      let id = Int(description.addedTokens[index].id)
      let piece = description.pieces[id].bytes
      var current = piece
      var isAtStart = true
      for step in normalizers {
        current =
          current.withUnsafeBufferPointer { step.normalize($0, isAtStart: &isAtStart) } ?? current
      }
      if current == piece { continue }
      if description.pieces[id].flags.contains(.lookup) || current.isEmpty {
        description.addedTokens[index].pattern = current
      } else {
        // The reference decodes the normalized form too.
        description.pieces[id].bytes = current
      }
    }
    // One that normalizes to nothing can never be found.
    description.addedTokens.removeAll { $0.pattern?.isEmpty == true }
  }

  // MARK: Models

  private mutating func makeMerges(
    _ vocabulary: [HuggingFaceFile.Entry], _ table: PieceTable
  ) throws(TokenizerError) {
    let path = file.path
    func id(_ name: String, _ merge: Int) throws(TokenizerError) -> Int32 {
      guard let found = table.find(Array(name.utf8)) else {
        throw .mergeTokenMissing(path: path, merge: merge, token: name)
      }
      return Int32(vocabulary[found].id)
    }
    for (rank, pair) in try file.merges().enumerated() {
      description.merges.append(
        .init(
          left: try id(pair.left, rank), right: try id(pair.right, rank), rank: UInt32(rank),
          result: try id(pair.left + pair.right, rank)))
    }
  }

  private mutating func setByteLevelOptions(
    _ vocabulary: [HuggingFaceFile.Entry], _ table: PieceTable
  ) throws(TokenizerError) {
    if try file.modelFlag("ignore_merges") { description.options.insert(.ignoresMerges) }
    if try file.modelFlag("fuse_unk") { description.options.insert(.fusesUnknown) }
    try setUnknown(vocabulary, table, default: nil, isNeeded: false)
    if description.model == .byteLevelBPE {
      if try file.modelFlag("byte_fallback") {
        throw .unsupported(
          path: file.path, field: "model.byte_fallback", found: "true with ByteLevel",
          supported: "false (bytes are the pre-tokenizer's business)")
      }
      return
    }
    if try file.modelFlag("byte_fallback") {
      setByteTokens { table.find($0).map { Int32(vocabulary[$0].id) } }
    }
    if let runs = BeforeRuns.character(of: description) {
      steps.preTokenizers.append(.init(kind: .beforeRuns, first: runs))
    }
  }

  private mutating func setByteTokens(_ find: ([UInt8]) -> Int32?) {
    for byte in UInt8.min...UInt8.max {
      description.byteTokens[Int(byte)] = find(ByteAlphabet.bytePiece(byte)) ?? -1
    }
  }

  private mutating func setUnknown(
    _ vocabulary: [HuggingFaceFile.Entry], _ table: PieceTable, default name: String?,
    isNeeded: Bool
  ) throws(TokenizerError) {
    guard let unknown = try file.unknownToken() ?? name else { return }
    guard let found = table.find(Array(unknown.utf8)) else {
      throw .invalidField(
        path: file.path, field: "model.unk_token", expected: "a piece of the vocabulary",
        found: unknown)
    }
    description.unknown = Int32(vocabulary[found].id)
  }

  private func wordPieceStep() throws(TokenizerError) -> TokenizerStep {
    var prefix = "##"
    if case .string(let text) = file.json["model"]["continuing_subword_prefix"] { prefix = text }
    let longest = try file.modelInteger("max_input_chars_per_word") ?? 100
    guard longest >= 0, longest <= 1 << 20 else {
      throw .invalidField(
        path: file.path, field: "model.max_input_chars_per_word", expected: "0 to 1048576",
        found: "\(longest)")
    }
    return .init(
      kind: .wordPiece, first: Array(prefix.utf8), second: TokenizerStep.words(UInt32(longest)))
  }

  private mutating func makeUnigram(
    _ added: [HuggingFaceFile.Added]
  ) throws(TokenizerError) -> [Double] {
    let scored = try file.scoredVocabulary()
    let vocabulary = scored.enumerated().map { ($1.piece, $0) }
    let table = try makePieces(vocabulary, added)
    if let unknown = try file.modelInteger("unk_id") {
      guard unknown >= 0, unknown < scored.count else {
        throw .specialIdOutOfRange(
          path: file.path, name: "unknown-token", id: unknown, vocabularySize: scored.count)
      }
      description.unknown = Int32(unknown)
    }
    description.options.insert(.fusesUnknown)
    if try file.modelFlag("byte_fallback") {
      description.options.insert(.fallsBackToBytes)
      setByteTokens { table.find($0).map(Int32.init) }
    }
    return scored.map(\.score)
  }
}
