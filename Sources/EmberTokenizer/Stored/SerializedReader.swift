/// Reads and checks the fields of a stored tokenizer; every access is bounds-checked by the array.
struct SerializedReader {
  private let bytes: [UInt8]

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  func word(_ at: Int) -> UInt32 {
    bytes.withUnsafeBytes {
      // `loadUnaligned` checks the range in debug builds only, so it is checked here.
      precondition(at >= 0 && at + 4 <= $0.count, "SerializedLayout checked the sections")
      return UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: at, as: UInt32.self))
    }
  }

  func count(_ at: Int) -> Int { Int(word(at)) }

  func byte(_ at: Int) -> UInt8 { bytes[at] }

  func bytes(_ range: Range<Int>) -> [UInt8] { Array(bytes[range]) }

  /// The bytes of a piece of a validated form.
  func piece(_ id: Int, _ layout: SerializedLayout) -> [UInt8] {
    let at = layout.pieceOffsets + 4 * id
    return bytes((layout.pool + count(at))..<(layout.pool + count(at + 4)))
  }

  func flags(_ id: Int, _ layout: SerializedLayout) -> PieceFlags {
    PieceFlags(rawValue: bytes[layout.pieceFlags + id])
  }

  /// Version 1 had one normalizer and one pre-tokenizer, named in the header.
  func versionOneSteps(_ options: TokenizerOptions) throws(TokenizerError) -> [TokenizerStep] {
    let space = [UInt8(ascii: " ")]
    try expect(bytes[16] <= 2, 16, "a model kind of version 1", found: "\(bytes[16])")
    try expect(options.rawValue < 16, 20, "options of version 1")
    try expect(bytes[19] == 0, 19, "0", found: "\(bytes[19])")
    var steps: [TokenizerStep] = []
    switch bytes[17] {
    case 0: if options.contains(.addsPrefixSpace) { steps.append(.init(kind: .prefixSpace)) }
    case 1: steps.append(.init(kind: .prepend, first: space))
    default:
      throw .invalidForm(at: 17, expected: "a normalizer kind (0, 1)", found: "\(bytes[17])")
    }
    switch bytes[18] {
    case 0: break
    case 1: steps.append(.init(kind: .gpt2Words))
    case 2: steps.append(.init(kind: .beforeRuns, first: space))
    default:
      throw .invalidForm(at: 18, expected: "a pre-tokenizer kind (0, 1, 2)", found: "\(bytes[18])")
    }
    return steps
  }

  func id(_ at: Int) -> Int32 { Int32(bitPattern: word(at)) }

  func expect(
    _ condition: Bool, _ at: Int, _ expected: @autoclosure () -> String,
    found: @autoclosure () -> String? = nil
  ) throws(TokenizerError) {
    if condition { return }
    let raw = at + 4 <= bytes.count ? "\(word(at))" : "the end"
    throw .invalidForm(at: at, expected: expected(), found: found() ?? raw)
  }

  func kind<Kind: RawRepresentable & CaseIterable>(
    _ at: Int, _ name: String
  ) throws(TokenizerError) -> Kind where Kind.RawValue == UInt8 {
    if let kind = Kind(rawValue: bytes[at]) { return kind }
    let known = Kind.allCases.map { "\($0.rawValue)" }.joined(separator: ", ")
    throw .invalidForm(at: at, expected: "\(name) (\(known))", found: "\(bytes[at])")
  }

  func optionalId(_ at: Int, below limit: Int) throws(TokenizerError) -> Int32? {
    let found = id(at)
    if found == -1 { return nil }
    try expect(found >= 0 && Int(found) < limit, at, "an id below \(limit) or -1")
    return found
  }

  /// Look-ups mask the hash, so a table's size must be a power of two.
  func slotCount(_ at: Int) throws(TokenizerError) -> Int {
    let found = count(at)
    try expect(found > 0 && found & (found - 1) == 0, at, "a power of two")
    return found
  }

  /// - Returns: the length of the longest piece that can be looked up.
  func validatePieces(
    offsets: Int, flags: Int, count: Int, poolByteCount: Int
  ) throws(TokenizerError) -> Int {
    try expect(word(offsets) == 0, offsets, "0, where the first piece begins")
    var previous = 0
    var longest = 0
    for index in 0..<count {
      let at = offsets + 4 * (index + 1)
      let end = self.count(at)
      try expect(
        end >= previous && end <= poolByteCount, at,
        "an end of piece \(index) from \(previous) to \(poolByteCount)")
      let flag = PieceFlags(rawValue: bytes[flags + index])
      try expect(
        flag.rawValue & ~PieceFlags.known == 0, flags + index, "known flags",
        found: "\(flag.rawValue)")
      if flag.contains(.lookup) { longest = max(longest, end - previous) }
      previous = end
    }
    try expect(
      previous == poolByteCount, offsets + 4 * count, "the pool's end, \(poolByteCount)")
    return longest
  }

  func validateIds(
    at start: Int, count: Int, below limit: Int, orNone: Bool
  ) throws(TokenizerError) {
    for index in 0..<count {
      let found = word(start + 4 * index)
      if orNone && found == .max { continue }
      try expect(Int(found) < limit, start + 4 * index, "an id below \(limit)")
    }
  }

  func validateMerges(at start: Int, count: Int, below limit: Int) throws(TokenizerError) {
    for index in 0..<count {
      let at = start + 16 * index
      if word(at) == .max { continue }
      try expect(Int(word(at)) < limit, at, "an id below \(limit)")
      try expect(Int(word(at + 4)) < limit, at + 4, "an id below \(limit)")
      // The encoder uses the highest rank for "no merge".
      try expect(word(at + 8) < .max, at + 8, "a rank")
      try expect(Int(word(at + 12)) < limit, at + 12, "an id below \(limit)")
    }
  }

  func validateAddedTokens(
    at start: Int, raw: Int, normalized: Int, below limit: Int, offsets: Int, pool: Int
  ) throws(TokenizerError) {
    for index in 0..<(raw + normalized) {
      let at = start + 8 * index
      let id = count(at)
      try expect(id < limit, at, "an id below \(limit)")
      try expect(word(at + 4) & ~AddedTokenFlags.known == 0, at + 4, "known flags")
      let piece = pool + count(offsets + 4 * id)
      let end = pool + count(offsets + 4 * id + 4)
      try expect(end > piece, at, "an id with a piece that is not empty")
      // A text is cut where these tokens stand in it. Part of a character as a token would cut a
      // character, and the steps behind rely on whole ones.
      let isText = String(validating: bytes[piece..<end], as: UTF8.self) != nil
      try expect(isText, at, "an id with a piece in UTF-8")
    }
  }

  func validateSelfChecks(
    from start: Int, to end: Int, count: Int, below limit: Int
  ) throws(TokenizerError) {
    var at = start
    for _ in 0..<count {
      try expect(end - at >= 8, at, "a self-check", found: "the section's end")
      let textByteCount = self.count(at)
      let idCount = self.count(at + 4)
      let ids = at + 8 + (textByteCount + 3) & ~3
      try expect(ids + 4 * idCount <= end, at, "a self-check within \(end - at) bytes")
      try validateIds(at: ids, count: idCount, below: limit, orNone: false)
      at = ids + 4 * idCount
    }
    try expect(at == end, at, "the end of the self-checks at \(end)")
  }

  /// The self-checks of a validated form: a text and its ids.
  func selfChecks(_ layout: SerializedLayout) -> [(text: String, ids: [Int32])] {
    var at = layout.selfChecks
    return (0..<layout.selfCheckCount).map { _ in
      let textByteCount = count(at)
      let idCount = count(at + 4)
      let text = String(decoding: bytes[(at + 8)..<(at + 8 + textByteCount)], as: UTF8.self)
      let ids = at + 8 + (textByteCount + 3) & ~3
      at = ids + 4 * idCount
      return (text, (0..<idCount).map { id(ids + 4 * $0) })
    }
  }
}
