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

  /// - Returns: which bytes begin an added token (see `SerializedLayout.addedFirstBytes`).
  func validateAddedTokens(
    at start: Int, raw: Int, normalized: Int, below limit: Int, offsets: Int, pool: Int
  ) throws(TokenizerError) -> [UInt8] {
    var first = [UInt8](repeating: 0, count: 256)
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
      first[Int(bytes[piece])] |= index < raw ? 1 : 2
    }
    return first
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
