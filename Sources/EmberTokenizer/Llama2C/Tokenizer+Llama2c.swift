import SystemPackage

extension Tokenizer {
  /// Reads llama2.c's `tokenizer.bin`: u32 longest token, then for each token f32 score, i32 byte
  /// count, bytes (github.com/karpathy/llama2.c, `run.c`, `build_tokenizer` and `encode`).
  ///
  /// Encoding equals run.c's, with two differences. A character outside a vocabulary that has no
  /// byte pieces is id 0, the unknown token, where run.c takes ids that mean something else; and
  /// U+0000 in a text is a character like others, where run.c stops.
  ///
  /// - Parameter vocabularySize: the model's; the file does not say. nil: as many as there are.
  /// - Throws: `unreadable`, `fileTooLarge`, `invalidVocabularySize`, `truncatedVocabulary`,
  ///   `trailingBytes`, `invalidTokenLength`, `tooManyMerges`, `hashCollisions`.
  public static func llama2c(
    contentsOf path: FilePath, vocabularySize: Int? = nil
  ) throws(TokenizerError) -> Tokenizer {
    let bytes = try TokenizerFile.read(path)
    let importer = try Llama2cImporter(bytes, vocabularySize, path: path.string)
    let description = try importer.description()
    return try Tokenizer(
      serialized: try SerializedTokenizerWriter.write(description, path: path.string))
  }
}

/// The contents of a `tokenizer.bin`.
private struct Llama2cImporter {
  private var scores: [Float] = []
  private var texts: [[UInt8]] = []
  private let path: String

  private static let unknown: Int32 = 0
  private static let beginOfSequence: Int32 = 1
  private static let endOfSequence: Int32 = 2
  /// The byte pieces <0x00>…<0xFF> follow the three control tokens.
  private static let firstByte = 3

  /// Llama 2's longest is 27; the limit bounds the search for merges, which is quadratic in it.
  private static let longestToken = 512
  init(_ bytes: [UInt8], _ size: Int?, path: String) throws(TokenizerError) {
    self.path = path
    // A token takes eight bytes at least, so a believable size is known before any is read.
    let vocabularySize = size ?? TokenizerFile.byteLimit / 8
    guard vocabularySize > 0, vocabularySize <= TokenizerFile.byteLimit / 8 else {
      throw .invalidVocabularySize(
        path: path, found: vocabularySize, limit: TokenizerFile.byteLimit / 8)
    }
    func word(_ at: Int) -> UInt32 {
      (0..<4).reduce(0) { $0 | UInt32(bytes[at + $1]) << UInt32(8 * $1) }
    }
    var at = 4
    for token in 0..<vocabularySize {
      if size == nil, at == bytes.count, token > 0 { break }
      guard bytes.count - at >= 8 else {
        throw .truncatedVocabulary(
          path: path, token: token, vocabularySize: vocabularySize, byteCount: bytes.count)
      }
      let byteCount = Int(Int32(bitPattern: word(at + 4)))
      guard byteCount >= 0, byteCount <= Self.longestToken else {
        throw .invalidTokenLength(
          path: path, token: token, found: byteCount, limit: Self.longestToken)
      }
      guard bytes.count - at - 8 >= byteCount else {
        throw .truncatedVocabulary(
          path: path, token: token, vocabularySize: vocabularySize, byteCount: bytes.count)
      }
      scores.append(Float(bitPattern: word(at)))
      texts.append(Array(bytes[(at + 8)..<(at + 8 + byteCount)]))
      at += 8 + byteCount
    }
    if at < bytes.count {
      throw .trailingBytes(
        path: path, vocabularySize: vocabularySize, byteCount: bytes.count - at)
    }
  }

  func description() throws(TokenizerError) -> TokenizerDescription {
    guard let table = PieceTable(texts) else { throw .hashCollisions(path: path) }
    let space = [UInt8(ascii: " ")]
    var description = TokenizerDescription(
      steps: [.init(kind: .prepend, first: space)], model: .scoredBPE, options: .stripsLeadingSpace)
    let hasByte = (0..<256).map { byte in
      texts.count > Self.firstByte + byte
        && texts[Self.firstByte + byte] == ByteAlphabet.bytePiece(UInt8(byte))
    }
    // run.c assumes them; a vocabulary without (character level) has other pieces at these ids.
    let hasByteFallback = hasByte.allSatisfy { $0 }
    if hasByteFallback {
      description.byteTokens = (0..<256).map { Int32(Self.firstByte + $0) }
    }
    description.pieces = texts.indices.map { piece($0, isByte: hasByteFallback, table) }
    description.merges = try merges(table)
    if splitsBeforeSpaces(table) {
      description.steps.append(.init(kind: .beforeRuns, first: space))
    }
    let count = Int32(texts.count)
    description.unknown = Self.unknown
    description.beginOfSequence = Self.beginOfSequence < count ? Self.beginOfSequence : nil
    description.endOfSequence = Self.endOfSequence < count ? Self.endOfSequence : nil
    description.prefix = description.beginOfSequence.map { [$0] } ?? []
    return description
  }

  private func piece(
    _ id: Int, isByte: Bool, _ table: PieceTable
  ) -> TokenizerDescription.Piece {
    switch Int32(id) {
    case Self.beginOfSequence, Self.endOfSequence:
      // llama2.c's exporter wraps them in newlines, which are no part of their names.
      let name = texts[id].drop { $0 == UInt8(ascii: "\n") }
      let end = name.lastIndex { $0 != UInt8(ascii: "\n") }.map { $0 + 1 } ?? name.startIndex
      return .init(bytes: Array(name[..<end]), flags: .special)
    default:
      if isByte, id >= Self.firstByte, id < Self.firstByte + 256 {
        return .init(bytes: [UInt8(id - Self.firstByte)], flags: [])
      }
      if texts[id].isEmpty { return .init(bytes: [], flags: .unused) }
      // Of equal pieces the first is found, as by the table that the merges are made with.
      return .init(bytes: texts[id], flags: table.find(texts[id]) == id ? .lookup : [])
    }
  }

  /// run.c concatenates neighbours' texts and looks the result up.
  private func merges(_ table: PieceTable) throws(TokenizerError) -> [TokenizerDescription.Merge] {
    // run.c's search begins at -1e10: a score at or below it (or NaN) never wins.
    let floor: Float = -1e10
    let ranks = ConcatenationMerges.ranks(scores.filter { $0 > floor })
    return try ConcatenationMerges.make(texts, table, path: path, rank: { ranks[scores[$0]] })
  }

  /// Whether no merge can reach across a place where a space follows something else: then each word
  /// with the spaces before it can be merged by itself, with the same result.
  private func splitsBeforeSpaces(_ table: PieceTable) -> Bool {
    let space = UInt8(ascii: " ")
    // Without its own piece a space would be a byte piece or unknown, and the argument fails.
    guard table.find([space]) != nil else { return false }
    return texts.allSatisfy { text in
      !zip(text, text.dropFirst()).contains { $0 != space && $1 == space }
    }
  }
}
