/// Writes a description into the stored form (formats/tokenizer.md).
enum SerializedTokenizerWriter {
  /// Texts whose ids every converted tokenizer carries: words, runs of white space, digits, accents
  /// composed and combined, scripts without spaces, emoji with joiners, line ends.
  static let selfCheckTexts = [
    "Hello, world!",
    "It's  3.14 — naïve café,\n\n\tand they'll pay 12,345 €.",
    "Съешь ещё этих мягких французских булок",
    "日本語 한국어 ไทย العربية e\u{301}",
    "😀👩\u{200D}👩\u{200D}👧 ok?\r\n   end  ",
  ]

  /// - Parameter path: where the description comes from, for errors.
  static func write(
    _ description: TokenizerDescription, path: String
  ) throws(TokenizerError) -> [UInt8] {
    var description = description
    let entries = description.pieces.map(\.bytes)
    guard
      let pieceTable = PieceTable(
        entries, includes: { description.pieces[$0].flags.contains(.lookup) }),
      let mergeTable = MergeTable(description.merges)
    else { throw .hashCollisions(path: path) }

    // A first form, without the marks and checks that only a working tokenizer can compute.
    let draft = try Tokenizer(
      serialized: form(description, pieceTable, mergeTable, selfChecks: []))
    for id in draft.wholePieces() { description.pieces[Int(id)].flags.insert(.whole) }
    let selfChecks = selfCheckTexts.map { ($0, draft.encode($0, addingBeginOfSequence: false)) }
    return form(description, pieceTable, mergeTable, selfChecks: selfChecks)
  }

  private static func form(
    _ description: TokenizerDescription, _ pieceTable: PieceTable, _ mergeTable: MergeTable,
    selfChecks: [(text: String, ids: [Int32])]
  ) -> [UInt8] {
    let added = description.addedTokens.sorted { one, other in
      let late = (
        one.flags.contains(.normalized), other.flags.contains(.normalized)
      )
      if late.0 != late.1 { return !late.0 }
      return description.pieces[Int(one.id)].bytes
        .lexicographicallyPrecedes(description.pieces[Int(other.id)].bytes)
    }
    let rawCount = added.count { !$0.flags.contains(.normalized) }
    let checks = selfCheckSection(selfChecks)
    var steps: [UInt8] = []
    for step in description.steps { step.append(to: &steps) }
    for token in added {
      guard let pattern = token.pattern else { continue }
      let words = TokenizerStep.words(UInt32(bitPattern: token.id))
      TokenizerStep(kind: .addedPattern, first: words + pattern).append(to: &steps)
    }
    let poolByteCount = description.pieces.reduce(0) { $0 + $1.bytes.count }

    var form = SerializedLayout.magic
    form.append(word: SerializedLayout.version)
    form.append(word: 0)  // the byte count, below
    form.append(description.model.rawValue)
    form += [0, 0, 0]
    form.append(word: description.options.rawValue)
    form.append(count: description.pieces.count)
    form.append(id: description.beginOfSequence ?? -1)
    form.append(id: description.endOfSequence ?? -1)
    form.append(id: description.unknown ?? -1)
    form.append(count: poolByteCount)
    form.append(count: pieceTable.slots.count)
    form.append(count: mergeTable.words.count / 4)
    form.append(count: rawCount)
    form.append(count: added.count - rawCount)
    form.append(count: description.prefix.count)
    form.append(count: description.suffix.count)
    form.append(count: selfChecks.count)
    form.append(count: checks.count)
    form.append(count: steps.count)

    var end = 0
    form.append(word: 0)
    for piece in description.pieces {
      end += piece.bytes.count
      form.append(count: end)
    }
    for piece in description.pieces { form.append(piece.flags.rawValue) }
    form.pad()
    for id in description.byteTokens { form.append(id: id) }
    for slot in pieceTable.slots { form.append(word: slot) }
    for word in mergeTable.words { form.append(word: word) }
    for token in added {
      form.append(id: token.id)
      form.append(word: token.flags.rawValue)
    }
    for id in description.prefix + description.suffix { form.append(id: id) }
    form += checks
    form += steps
    for piece in description.pieces { form += piece.bytes }
    form.pad()
    let byteCount = UInt32(truncatingIfNeeded: form.count)
    for index in 0..<4 { form[12 + index] = UInt8(truncatingIfNeeded: byteCount >> (8 * index)) }
    return form
  }

  private static func selfCheckSection(_ checks: [(text: String, ids: [Int32])]) -> [UInt8] {
    var section: [UInt8] = []
    for check in checks {
      section.append(count: check.text.utf8.count)
      section.append(count: check.ids.count)
      section += check.text.utf8
      section.pad()
      for id in check.ids { section.append(id: id) }
    }
    return section
  }
}

extension [UInt8] {
  fileprivate mutating func append(word: UInt32) {
    for shift in stride(from: 0, to: 32, by: 8) { append(UInt8(truncatingIfNeeded: word >> shift)) }
  }
  fileprivate mutating func append(id: Int32) { append(word: UInt32(bitPattern: id)) }
  /// Files are at most `TokenizerFile.byteLimit` long, so no count of theirs reaches 2^32; if one
  /// did, the draft's validation would reject the form.
  fileprivate mutating func append(count: Int) { append(word: UInt32(truncatingIfNeeded: count)) }
  fileprivate mutating func pad() {
    while count % 4 != 0 { append(0) }
  }
}
