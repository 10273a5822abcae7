import SystemPackage

extension Tokenizer {
  /// Reads a SentencePiece `tokenizer.model` (BPE with or without byte fallback, or Unigram) and
  /// encodes as the `sentencepiece` library does. Control symbols in a text, which that library takes
  /// for plain text, become tokens where `encode` parses special tokens.
  ///
  /// The file does not say what stands around a text. BPE models (Llama, Mistral, Gemma) put the
  /// beginning of the sequence before it, Unigram models (T5) the end behind it, unless told
  /// otherwise.
  ///
  /// - Parameters:
  ///   - sentinels: control symbols that T5 has behind the pieces, `<extra_id_0>` the last of them.
  ///   - vocabularySize: ids that there may be; the sentinels are as many as fit.
  /// - Throws: `unreadable`, `fileTooLarge`, `invalidField`, `unsupported`, `tooManyMerges`,
  ///   `hashCollisions`, `conflictingPiece`.
  public static func sentencePiece(
    contentsOf path: FilePath, addsBeginOfSequence: Bool? = nil, addsEndOfSequence: Bool? = nil,
    sentinels: Int = 0, vocabularySize: Int = .max
  ) throws(TokenizerError) -> Tokenizer {
    let file = try SentencePieceFile(try TokenizerFile.read(path), path: path.string)
    var source = try SentencePieceSource(file, path: path)
    let room = max(0, vocabularySize - source.pieces.count)
    for index in (0..<min(sentinels, room)).reversed() {
      source.pieces.append(.init(bytes: Array("<extra_id_\(index)>".utf8), type: .control))
    }
    source.beginOfSequence = file.beginOfSequence
    source.endOfSequence = file.endOfSequence
    source.addsBegin = addsBeginOfSequence ?? !source.isUnigram
    source.addsEnd = addsEndOfSequence ?? source.isUnigram
    return try Tokenizer(
      serialized: try SerializedTokenizerWriter.write(
        try source.description(), path: path.string))
  }
}

extension SentencePieceSource {
  /// The pieces of a `tokenizer.model` and how it prepares a text; no ids around it.
  init(contentsOf path: FilePath) throws(TokenizerError) {
    try self.init(
      try SentencePieceFile(try TokenizerFile.read(path), path: path.string), path: path)
  }

  init(_ file: SentencePieceFile, path: FilePath) throws(TokenizerError) {
    self.init(path: path.string)
    pieces = file.pieces
    switch file.modelType {
    case 1: isUnigram = true
    case 2: isUnigram = false
    case let type:
      throw .unsupported(
        path: path.string, field: "trainer_spec.model_type", found: "\(type)",
        supported: "1 (Unigram), 2 (BPE)")
    }
    hasByteFallback = file.hasByteFallback
    if file.addsDummyPrefix { normalizer.insert(.addsDummyPrefix) }
    if file.removesExtraSpaces { normalizer.insert(.removesExtraSpaces) }
    if file.escapesSpaces { normalizer.insert(.escapesSpaces) }
    if file.spacesAreSuffixes { normalizer.insert(.spacesAreSuffixes) }
    characterMap = file.characterMap
  }
}
