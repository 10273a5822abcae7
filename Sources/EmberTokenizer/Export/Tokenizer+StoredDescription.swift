extension Tokenizer {
  /// The stored form taken apart again, for those who write it in another one.
  ///
  /// Merges come by rank, those of one rank by their ids; added tokens by id. What the form leaves
  /// out, such as the names of unused pieces, is lost.
  func storedDescription() throws(TokenizerError) -> TokenizerDescription {
    let reader = SerializedReader(storage)
    var description = TokenizerDescription(model: layout.model, options: layout.options)
    let steps = layout.versionOneSteps + (try reader.steps(from: layout.steps, to: layout.stepsEnd))
    description.steps = steps.filter { $0.kind != .addedPattern }
    // In version 1 the bytes of a word were the business of the model alone.
    if layout.model == .byteLevelBPE, !steps.contains(where: { $0.kind == .byteAlphabet }) {
      let end = steps.lastIndex { $0.kind == .gpt2Words || $0.kind == .prefixSpace }
      description.steps.insert(.init(kind: .byteAlphabet), at: end.map { $0 + 1 } ?? 0)
    }
    description.pieces = (0..<layout.pieceCount).map { id in
      // The writer finds out again which pieces are whole.
      .init(
        bytes: reader.piece(id, layout), flags: reader.flags(id, layout).subtracting(.whole))
    }
    description.byteTokens = (0..<256).map { reader.id(layout.byteTokens + 4 * $0) }
    for slot in 0..<layout.mergeSlotCount {
      let at = layout.mergeTable + 16 * slot
      if reader.word(at) == .max { continue }
      description.merges.append(
        .init(
          left: reader.id(at), right: reader.id(at + 4), rank: reader.word(at + 8),
          result: reader.id(at + 12)))
    }
    description.merges.sort { ($0.rank, $0.left, $0.right) < ($1.rank, $1.left, $1.right) }
    for index in 0..<(layout.rawAddedCount + layout.normalizedAddedCount) {
      let at = layout.addedTokens + 8 * index
      description.addedTokens.append(
        .init(id: reader.id(at), flags: AddedTokenFlags(rawValue: reader.word(at + 4))))
    }
    description.addedTokens.sort { $0.id < $1.id }
    description.unknown = layout.unknown
    description.beginOfSequence = layout.beginOfSequence
    description.endOfSequence = layout.endOfSequence
    func ids(_ start: Int, _ count: Int) -> [Int32] {
      (0..<count).map { reader.id(start + 4 * $0) }
    }
    description.prefix = ids(layout.prefix, layout.prefixCount)
    description.suffix = ids(layout.suffix, layout.suffixCount)
    return description
  }
}

extension ByteAlphabet {
  /// The piece of the vocabulary that stands for some bytes.
  static func piece(_ bytes: [UInt8]) -> String {
    var piece = ""
    for byte in bytes {
      // Every stand-in lies below U+0144.
      if let scalar = Unicode.Scalar(characters[Int(byte)]) { piece.unicodeScalars.append(scalar) }
    }
    return piece
  }
}
