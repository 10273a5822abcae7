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
  /// - Throws: `unreadable`, `fileTooLarge`, `invalidField`, `unsupported`, `tooManyMerges`,
  ///   `hashCollisions`, `conflictingPiece`.
  public static func sentencePiece(
    contentsOf path: FilePath, addsBeginOfSequence: Bool? = nil, addsEndOfSequence: Bool? = nil
  ) throws(TokenizerError) -> Tokenizer {
    let file = try SentencePieceFile(try TokenizerFile.read(path), path: path.string)
    var source = SentencePieceSource(path: path.string)
    source.pieces = file.pieces
    switch file.modelType {
    case 1: source.isUnigram = true
    case 2: source.isUnigram = false
    case let type:
      throw .unsupported(
        path: path.string, field: "trainer_spec.model_type", found: "\(type)",
        supported: "1 (Unigram), 2 (BPE)")
    }
    source.hasByteFallback = file.hasByteFallback
    if file.addsDummyPrefix { source.normalizer.insert(.addsDummyPrefix) }
    if file.removesExtraSpaces { source.normalizer.insert(.removesExtraSpaces) }
    if file.escapesSpaces { source.normalizer.insert(.escapesSpaces) }
    if file.spacesAreSuffixes { source.normalizer.insert(.spacesAreSuffixes) }
    source.characterMap = file.characterMap
    source.beginOfSequence = file.beginOfSequence
    source.endOfSequence = file.endOfSequence
    source.addsBegin = addsBeginOfSequence ?? !source.isUnigram
    source.addsEnd = addsEndOfSequence ?? source.isUnigram
    return try Tokenizer(
      serialized: try SerializedTokenizerWriter.write(
        try source.description(), path: path.string))
  }
}
