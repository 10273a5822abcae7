import SystemPackage

extension Tokenizer {
  /// Reads what Marian's translators have for one side: a SentencePiece model that cuts texts, and the
  /// `vocab.json` that numbers the pieces of both sides.
  ///
  /// Texts are cut as the side's model does it; ids of all pieces become text. A piece of the model
  /// that has no number is not used, where transformers would take it and call it unknown. Language
  /// codes such as `>>deu<<` are tokens where `encode` parses special tokens. The end of the sequence
  /// stands behind a text.
  ///
  /// - Parameter endOfSequence: its id; `</s>` by default.
  /// - Throws: as `sentencePiece`, `invalidJSON`, `duplicateId`, `idOutOfRange`.
  public static func marian(
    pieces modelPath: FilePath, vocabulary path: FilePath, endOfSequence: Int? = nil
  ) throws(TokenizerError) -> Tokenizer {
    var source = try SentencePieceSource(contentsOf: modelPath)
    var known: [[UInt8]: SentencePieceFile.Piece] = [:]
    for piece in source.pieces where piece.type == .normal || piece.type == .userDefined {
      known[piece.bytes] = piece
    }
    let names = try marianVocabulary(path)
    source.pieces = names.map { marianPiece($0, known) }
    source.beginOfSequence = nil
    source.endOfSequence = endOfSequence ?? names.firstIndex(of: "</s>")
    source.addsBegin = false
    source.addsEnd = true
    return try Tokenizer(
      serialized: try SerializedTokenizerWriter.write(
        try source.description(), path: modelPath.string))
  }

  private static func marianPiece(
    _ name: String, _ known: [[UInt8]: SentencePieceFile.Piece]
  ) -> SentencePieceFile.Piece {
    let bytes = Array(name.utf8)
    if name == "<unk>" { return .init(bytes: bytes, type: .unknown) }
    let isCode = name.hasPrefix(">>") && name.hasSuffix("<<")
    if name == "</s>" || name == "<pad>" || isCode { return .init(bytes: bytes, type: .control) }
    // What only the other side has is never cut out of a text.
    return known[bytes] ?? .init(bytes: bytes, type: .unused)
  }

  /// The pieces by their numbers; empty where there is none.
  private static func marianVocabulary(_ path: FilePath) throws(TokenizerError) -> [String] {
    let json = try JSONParser.parse(try TokenizerFile.read(path), path: path.string)
    guard case .object(let members) = json, !members.isEmpty else {
      throw .invalidField(
        path: path.string, field: "the file", expected: "an object of pieces and ids",
        found: json.summary)
    }
    // A few holes are no harm.
    let limit = 2 * members.count + 1024
    var names: [String] = []
    for member in members {
      guard case .integer(let id) = member.value, id >= 0, id < limit else {
        guard case .integer(let id) = member.value else {
          throw .invalidField(
            path: path.string, field: member.key, expected: "an id", found: member.value.summary)
        }
        throw .idOutOfRange(path: path.string, piece: member.key, id: id, limit: limit)
      }
      while names.count <= id { names.append("") }
      if !names[id].isEmpty {
        throw .duplicateId(path: path.string, id: id, first: names[id], second: member.key)
      }
      names[id] = member.key
    }
    return names
  }
}
