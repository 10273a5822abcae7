/// Where the sections of a stored tokenizer lie, after every claim in it has been checked.
///
/// The byte tables are in formats/tokenizer.md. A layout exists only for bytes whose every id,
/// offset and length is in range, which is what lets `UnsafeTokenizerView` read without checks.
struct SerializedLayout: Sendable {
  static let magic: [UInt8] = Array("EMBERTOK".utf8)
  static let version: UInt32 = 2
  static let headerByteCount = 80

  let model: Model
  let options: TokenizerOptions
  let beginOfSequence: Int32?
  let endOfSequence: Int32?
  let unknown: Int32?

  let pieceCount: Int
  let pieceSlotCount: Int
  let mergeSlotCount: Int
  let rawAddedCount: Int
  let normalizedAddedCount: Int
  let prefixCount: Int
  let suffixCount: Int
  let selfCheckCount: Int

  /// Byte offsets of the sections, in the order of the file.
  let pieceOffsets: Int
  let pieceFlags: Int
  let byteTokens: Int
  let pieceTable: Int
  let mergeTable: Int
  let addedTokens: Int
  let prefix: Int
  let suffix: Int
  let selfChecks: Int
  let selfChecksEnd: Int
  let steps: Int
  let stepsEnd: Int
  let pool: Int

  /// The longest piece that a look-up can find, in bytes.
  let longestPiece: Int
  /// What the header of version 1 says in place of steps.
  let versionOneSteps: [TokenizerStep]

  /// Checks everything in one linear pass.
  init(_ bytes: [UInt8]) throws(TokenizerError) {
    let reader = SerializedReader(bytes)
    guard bytes.count >= Self.headerByteCount else {
      throw .invalidForm(
        at: bytes.count, expected: "a header of \(Self.headerByteCount) bytes",
        found: "\(bytes.count)")
    }
    guard bytes.starts(with: Self.magic) else { throw .notATokenizer(found: Array(bytes[..<8])) }
    let version = reader.word(8)
    guard version == Self.version || version == 1 else {
      throw .unsupportedVersion(found: version, supported: Self.version)
    }
    try reader.expect(Int(reader.word(12)) == bytes.count, 12, "the byte count \(bytes.count)")

    model = try reader.kind(16, "a model kind")
    options = TokenizerOptions(rawValue: reader.word(20))
    try reader.expect(options.rawValue & ~TokenizerOptions.known == 0, 20, "known options")
    if version == 1 {
      versionOneSteps = try reader.versionOneSteps(options)
      try reader.expect(reader.word(76) == 0, 76, "0")
    } else {
      versionOneSteps = []
      try reader.expect(reader.word(16) >> 8 == 0, 16, "a model kind and zeros")
      try reader.expect(!options.contains(.addsPrefixSpace), 20, "options of version 2")
    }

    let pieceCount = reader.count(24)
    try reader.expect(pieceCount > 0 && pieceCount <= Int(Int32.max), 24, "a vocabulary size")
    self.pieceCount = pieceCount
    beginOfSequence = try reader.optionalId(28, below: pieceCount)
    endOfSequence = try reader.optionalId(32, below: pieceCount)
    unknown = try reader.optionalId(36, below: pieceCount)
    let poolByteCount = reader.count(40)
    pieceSlotCount = try reader.slotCount(44)
    mergeSlotCount = try reader.slotCount(48)
    rawAddedCount = reader.count(52)
    normalizedAddedCount = reader.count(56)
    prefixCount = reader.count(60)
    suffixCount = reader.count(64)
    selfCheckCount = reader.count(68)
    let selfCheckByteCount = reader.count(72)
    // Opening a model runs the self-checks, so they must be cheap.
    try reader.expect(selfCheckByteCount <= 16_384, 72, "self-checks of at most 16384 bytes")

    // Every count is below 2^32 and every element at most 16 bytes, so these 64-bit sums of a dozen
    // terms stay below 2^41 and cannot overflow; the last line compares them with the real size.
    var end = Self.headerByteCount
    func section(_ byteCount: Int) -> Int {
      let start = end
      end += (byteCount + 3) & ~3
      return start
    }
    pieceOffsets = section(4 * (pieceCount + 1))
    pieceFlags = section(pieceCount)
    byteTokens = section(4 * 256)
    pieceTable = section(4 * pieceSlotCount)
    mergeTable = section(16 * mergeSlotCount)
    addedTokens = section(8 * (rawAddedCount + normalizedAddedCount))
    prefix = section(4 * prefixCount)
    suffix = section(4 * suffixCount)
    selfChecks = section(selfCheckByteCount)
    selfChecksEnd = selfChecks + selfCheckByteCount
    let stepByteCount = reader.count(76)
    try reader.expect(stepByteCount % 4 == 0, 76, "a multiple of 4")
    steps = section(stepByteCount)
    stepsEnd = steps + stepByteCount
    pool = section(poolByteCount)
    try reader.expect(
      end == bytes.count, 24, "sections of \(bytes.count) bytes in all", found: "\(end) bytes")
    for (start, byteCount) in [
      (pieceFlags, pieceCount), (selfChecks, selfCheckByteCount), (pool, poolByteCount),
    ] {
      for at in (start + byteCount)..<((start + byteCount + 3) & ~3) {
        try reader.expect(bytes[at] == 0, at, "padding of 0")
      }
    }

    longestPiece = try reader.validatePieces(
      offsets: pieceOffsets, flags: pieceFlags, count: pieceCount, poolByteCount: poolByteCount)
    try reader.validateIds(at: byteTokens, count: 256, below: pieceCount, orNone: true)
    try reader.validateIds(at: pieceTable, count: pieceSlotCount, below: pieceCount, orNone: true)
    try reader.validateMerges(at: mergeTable, count: mergeSlotCount, below: pieceCount)
    try reader.validateIds(
      at: prefix, count: prefixCount + suffixCount, below: pieceCount, orNone: false)
    try reader.validateAddedTokens(
      at: addedTokens, raw: rawAddedCount, normalized: normalizedAddedCount, below: pieceCount,
      offsets: pieceOffsets, pool: pool)
    try reader.validateSelfChecks(
      from: selfChecks, to: selfChecksEnd, count: selfCheckCount, below: pieceCount)
  }
}
