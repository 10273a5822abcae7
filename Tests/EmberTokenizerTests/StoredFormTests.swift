import EmberTokenizer
import Testing

@Suite struct StoredFormTests {
  static let text = "the hello<|end|> é日\n\u{0} <mask> 12 don't zebra"

  /// Uses everything that reads the tables.
  static func exercise(_ tokenizer: Tokenizer) {
    let ids = tokenizer.encode(text)
    _ = tokenizer.encode(text, addingBeginOfSequence: true, parsingSpecialTokens: false)
    _ = tokenizer.decode(ids)
    let last = Int32(clamping: tokenizer.vocabularySize - 1)
    for id in [0, 1, last] { _ = tokenizer.piece(id) }
    _ = tokenizer.kindDescription
    _ = tokenizer.addsBeginOfSequence
    try? tokenizer.selfCheck()
  }

  @Test(arguments: ["plain", "options", "fused-unknown"])
  func roundTrips(name: String) throws {
    let tokenizer = try TokenizerFixtures.huggingFace(name)
    let form = tokenizer.serialized()
    #expect(try TokenizerFixtures.huggingFace(name).serialized() == form)
    let reread = try Tokenizer(serialized: form)
    #expect(reread.serialized() == form)
    #expect(reread.encode(Self.text) == tokenizer.encode(Self.text))
    try reread.selfCheck()
  }

  @Test func everyTruncationIsAnError() throws {
    for tokenizer in [
      try TokenizerFixtures.llama2c(TokenizerFixtures.smallScored),
      try TokenizerFixtures.huggingFace("options"),
    ] {
      let form = tokenizer.serialized()
      for count in 0..<form.count {
        #expect(throws: TokenizerError.self) {
          try Tokenizer(serialized: Array(form[..<count]))
        }
      }
      #expect(throws: TokenizerError.self) { try Tokenizer(serialized: form + [0]) }
    }
  }

  /// Whatever byte is changed: an error, or a tokenizer that works, if not as it should.
  @Test func noFlippedByteCrashes() throws {
    for (tokenizer, masks) in [
      (
        try TokenizerFixtures.llama2c(
          TokenizerFixtures.controlPieces + [(-1, [0x20]), (-2, [0x61])]),
        (0..<8).map { UInt8(1) << $0 } + [0xff]
      ),
      (try TokenizerFixtures.huggingFace("options"), [0xff, 0x01]),
      (try TokenizerFixtures.llama2c(TokenizerFixtures.smallScored), [0x40]),
    ] {
      var form = tokenizer.serialized()
      var accepted = 0
      for index in form.indices {
        for mask in masks {
          form[index] ^= mask
          if let changed = try? Tokenizer(serialized: form) {
            accepted += 1
            Self.exercise(changed)
          }
          form[index] ^= mask
        }
      }
      #expect(accepted > 0)
    }
  }

  @Test func randomDamageDoesNotCrash() throws {
    let form = try TokenizerFixtures.huggingFace("options").serialized()
    var random = Random(seed: 5)
    for _ in 0..<2000 {
      var changed = form
      for _ in 0..<(1 + random.next() % 20) {
        // Beyond the header, so that most of the damage gets past it.
        let index = 80 + Int(random.next() % UInt64(changed.count - 80))
        changed[index] = UInt8(truncatingIfNeeded: random.next())
      }
      if let tokenizer = try? Tokenizer(serialized: changed) { Self.exercise(tokenizer) }
    }
  }

  @Test func wrongMagicAndVersionSaySo() throws {
    var form = try TokenizerFixtures.huggingFace("plain").serialized()
    form[8] = 7
    #expect(throws: TokenizerError.unsupportedVersion(found: 7, supported: 2)) {
      try Tokenizer(serialized: form)
    }
    form[0] = 0
    #expect(throws: TokenizerError.notATokenizer(found: [0] + Array("MBERTOK".utf8))) {
      try Tokenizer(serialized: form)
    }
    #expect(throws: TokenizerError.self) { try Tokenizer(serialized: []) }
  }

  @Test func claimsLargerThanTheBytesAreErrors() throws {
    let form = try TokenizerFixtures.huggingFace("plain").serialized()
    for at in stride(from: 24, to: 80, by: 4) {
      var changed = form
      changed.replaceSubrange(at..<(at + 4), with: [0xfe, 0xff, 0xff, 0x7f])
      #expect(throws: TokenizerError.self) { try Tokenizer(serialized: changed) }
    }
  }

  @Test func selfCheckFindsAChangedMerge() throws {
    let tokenizer = try TokenizerFixtures.huggingFace("plain")
    var form = tokenizer.serialized()
    // "l" comes first in "ll", "lo", …; with its byte token gone to another id, ids change.
    let letter = try #require(tokenizer.encode("l").first)
    let pieceCount = tokenizer.vocabularySize
    let flags = 80 + 4 * (pieceCount + 1)
    let byteTokens = flags + (pieceCount + 3) & ~3
    let at = byteTokens + 4 * 0x6c
    #expect(form[at] == UInt8(truncatingIfNeeded: letter))
    form[at] ^= 1
    let damaged = try Tokenizer(serialized: form)
    #expect(throws: TokenizerError.self) { try damaged.selfCheck() }
  }

  /// Files made before steps existed have one normalizer and one pre-tokenizer in the header.
  @Test func versionOneStillOpens() throws {
    func versionOne(_ tokenizer: Tokenizer, normalizer: UInt8, preTokenizer: UInt8, prefix: Bool)
      throws -> Tokenizer
    {
      var form = tokenizer.serialized()
      func word(_ at: Int) -> Int {
        (0..<4).reduce(0) { $0 | Int(form[at + $1]) << (8 * $1) }
      }
      func set(_ at: Int, _ value: Int) {
        for index in 0..<4 { form[at + index] = UInt8(truncatingIfNeeded: value >> (8 * index)) }
      }
      let (steps, pool) = (word(76), (word(40) + 3) & ~3)
      form.removeSubrange((form.count - pool - steps)..<(form.count - pool))
      set(8, 1)
      set(12, form.count)
      set(76, 0)
      form[17] = normalizer
      form[18] = preTokenizer
      if prefix { form[20] |= 1 }
      return try Tokenizer(serialized: form)
    }
    for (tokenizer, old) in [
      (
        try TokenizerFixtures.huggingFace("plain"),
        try versionOne(
          TokenizerFixtures.huggingFace("plain"), normalizer: 0, preTokenizer: 1, prefix: false)
      ),
      (
        try TokenizerFixtures.huggingFace("options"),
        try versionOne(
          TokenizerFixtures.huggingFace("options"), normalizer: 0, preTokenizer: 1, prefix: true)
      ),
      (
        try TokenizerFixtures.llama2c(TokenizerFixtures.smallScored),
        try versionOne(
          TokenizerFixtures.llama2c(TokenizerFixtures.smallScored), normalizer: 1, preTokenizer: 2,
          prefix: false)
      ),
    ] {
      try old.selfCheck()
      for text in [Self.text, "", " ", "hello  world\n"] {
        #expect(old.encode(text) == tokenizer.encode(text))
        #expect(old.decode(old.encode(text)) == tokenizer.decode(tokenizer.encode(text)))
      }
    }
  }
}
