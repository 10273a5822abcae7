/// A vocabulary of llama2.c's kind, in which spaces are spaces and byte tokens are their bytes, as
/// other programs write it: ▁ for a space, `<0x0A>` for a byte.
enum SpaceEscaping {
  /// Leaves other descriptions as they are.
  static func apply(to description: inout TokenizerDescription) {
    let space = UInt8(ascii: " ")
    guard description.model == .scoredBPE,
      let prepend = description.steps.firstIndex(where: {
        $0.kind == .prepend && $0.first == [space]
      })
    else { return }
    let byteIDs = Set(description.byteTokens.filter { $0 >= 0 })
    for (id, piece) in description.pieces.enumerated() {
      if byteIDs.contains(Int32(id)), piece.bytes.count == 1 {
        description.pieces[id].bytes = ByteAlphabet.bytePiece(piece.bytes[0])
      } else if piece.bytes.contains(space) {
        description.pieces[id].bytes = piece.bytes.flatMap { $0 == space ? Metaspace.bytes : [$0] }
      }
    }
    description.steps[prepend].first = Metaspace.bytes
    description.steps.insert(
      .init(kind: .replace, first: [space], second: Metaspace.bytes), at: prepend + 1)
    description.steps.append(
      .init(kind: .decodeReplace, first: Metaspace.bytes, second: [space]))
    if !byteIDs.isEmpty { description.steps.append(.init(kind: .decodeBytes)) }
    description.steps.append(.init(kind: .decodeFuse))
    if description.options.contains(.stripsLeadingSpace) {
      description.steps.append(
        .init(kind: .decodeStrip, first: [space], second: TokenizerStep.words(1, 0)))
      description.options.remove(.stripsLeadingSpace)
    }
    // Other programs know control tokens from a list of those that are searched for.
    let known = Set(description.addedTokens.map(\.id))
    for (id, piece) in description.pieces.enumerated()
    where piece.flags.contains(.special) && !known.contains(Int32(id)) && !piece.bytes.isEmpty {
      description.addedTokens.append(.init(id: Int32(id), flags: .special))
    }
    description.addedTokens.sort { $0.id < $1.id }
  }
}

/// SentencePiece's normalizer, as the steps of `tokenizer.json` that together do the same.
enum SentencePieceSteps {
  /// - Throws: `notExpressible`
  static func expand(_ description: inout TokenizerDescription) throws(TokenizerError) {
    guard let index = description.steps.firstIndex(where: { $0.kind == .sentencePiece }) else {
      return
    }
    let step = description.steps[index]
    let options = SentencePieceNormalizer.Options(rawValue: step.flags)
    if options.contains(.spacesAreSuffixes) {
      throw .notExpressible(
        format: "tokenizer.json", found: "spaces behind words", supported: "spaces before words")
    }
    let space = [UInt8(ascii: " ")]
    let replacement = options.contains(.escapesSpaces) ? Metaspace.bytes : space
    var steps: [TokenizerStep] = []
    if !step.first.isEmpty { steps.append(.init(kind: .precompiled, first: step.first)) }
    if options.contains(.removesExtraSpaces) {
      steps.append(.init(kind: .strip, flags: 3))
      steps.append(.init(kind: .replace, flags: 1, first: Array(" {2,}".utf8), second: space))
    }
    if options.contains(.addsDummyPrefix) {
      steps.append(.init(kind: .prepend, first: replacement))
    }
    if options.contains(.escapesSpaces) {
      steps.append(.init(kind: .replace, first: space, second: Metaspace.bytes))
    }
    description.steps.replaceSubrange(index...index, with: steps)
  }
}

extension Base64 {
  static func encode(_ bytes: [UInt8]) -> String {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    var text: [UInt8] = []
    text.reserveCapacity((bytes.count + 2) / 3 * 4)
    for start in stride(from: 0, to: bytes.count, by: 3) {
      let count = min(3, bytes.count - start)
      var word: UInt32 = 0
      for index in 0..<3 { word = word << 8 | (index < count ? UInt32(bytes[start + index]) : 0) }
      for index in 0..<4 {
        let digit = alphabet[Int(word >> UInt32(18 - 6 * index) & 63)]
        text.append(index <= count ? digit : UInt8(ascii: "="))
      }
    }
    return String(decoding: text, as: UTF8.self)
  }
}
