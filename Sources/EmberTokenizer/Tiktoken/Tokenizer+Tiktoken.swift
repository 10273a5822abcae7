import SystemPackage

extension Tokenizer {
  /// The expression that cuts a text into words before a tiktoken vocabulary merges them; the file
  /// does not say.
  public enum TiktokenExpression: Sendable, Equatable {
    case gpt2
    /// cl100k_base; Llama 3 has the same.
    case cl100k
    case qwen2
    case o200k
    /// Another one, in the syntax of docs/tokenizers.md.
    case custom(String)
  }

  /// Reads tiktoken's ranks: lines of a token in base 64 and its rank (Llama 3's `tokenizer.model`,
  /// `qwen.tiktoken`, OpenAI's `cl100k_base.tiktoken`), and encodes as tiktoken does.
  ///
  /// - Parameters:
  ///   - expression: how the text is cut into words.
  ///   - specialTokens: names and ids of the special tokens, which the file does not have.
  ///   - addsBeginOfSequence: whether `beginOfSequence` stands before every text.
  /// - Throws: `unreadable`, `fileTooLarge`, `invalidField`, `duplicateId`, `idOutOfRange`,
  ///   `conflictingPiece`, `specialIdOutOfRange`, `unsupported`, `tooManyMerges`, `hashCollisions`.
  public static func tiktoken(
    contentsOf path: FilePath, expression: TiktokenExpression,
    specialTokens: [(name: String, id: Int)] = [], beginOfSequence: Int? = nil,
    endOfSequence: Int? = nil, addsBeginOfSequence: Bool = false
  ) throws(TokenizerError) -> Tokenizer {
    let importer = TiktokenImporter(path: path.string)
    var description = try importer.description(
      try TokenizerFile.read(path), expression, specialTokens)
    func special(_ id: Int?, _ name: String) throws(TokenizerError) -> Int32? {
      guard let id else { return nil }
      guard id >= 0, id < description.pieces.count else {
        throw .specialIdOutOfRange(
          path: path.string, name: name, id: id, vocabularySize: description.pieces.count)
      }
      description.pieces[id].flags.insert(.special)
      return Int32(id)
    }
    description.beginOfSequence = try special(beginOfSequence, "beginning-of-sequence")
    description.endOfSequence = try special(endOfSequence, "end-of-sequence")
    if addsBeginOfSequence, let begin = description.beginOfSequence { description.prefix = [begin] }
    return try Tokenizer(
      serialized: try SerializedTokenizerWriter.write(description, path: path.string))
  }

  /// Whether a file's first bytes look like tiktoken's ranks and not like a protocol buffer.
  public static func isTiktoken(_ start: [UInt8]) -> Bool {
    guard let line = start.split(separator: UInt8(ascii: "\n"), maxSplits: 1).first,
      let space = line.firstIndex(of: UInt8(ascii: " ")), space > line.startIndex
    else { return false }
    let rank = line[(space + 1)...].drop { $0 == UInt8(ascii: "\r") }
    return Base64.decode(line[..<space]) != nil && !rank.isEmpty
      && rank.allSatisfy { ($0 >= 0x30 && $0 <= 0x39) || $0 == 0x0d }
  }
}

private struct TiktokenImporter {
  let path: String

  /// OpenAI's largest has 200,000.
  private static let tokenLimit = 1 << 22

  func description(
    _ bytes: [UInt8], _ expression: Tokenizer.TiktokenExpression,
    _ specials: [(name: String, id: Int)]
  ) throws(TokenizerError) -> TokenizerDescription {
    var description = TokenizerDescription(model: .byteLevelBPE)
    description.steps = [try step(expression), .init(kind: .byteAlphabet)]
    var texts = try tokens(bytes)
    for special in specials {
      guard special.id >= 0, special.id <= Self.tokenLimit else {
        throw .idOutOfRange(
          path: path, piece: special.name, id: special.id, limit: Self.tokenLimit)
      }
      while texts.count <= special.id { texts.append([]) }
      guard texts[special.id].isEmpty, !special.name.isEmpty else {
        throw .duplicateId(
          path: path, id: special.id, first: String(decoding: texts[special.id], as: UTF8.self),
          second: special.name)
      }
    }
    guard let table = PieceTable(texts, includes: { !texts[$0].isEmpty }) else {
      throw .hashCollisions(path: path)
    }
    for (id, text) in texts.enumerated() {
      description.pieces.append(.init(bytes: text, flags: text.isEmpty ? .unused : .lookup))
      if let found = table.find(text), found != id, !text.isEmpty {
        throw .conflictingPiece(
          path: path, piece: String(decoding: text, as: UTF8.self), first: found, second: id)
      }
      if text.count == 1 { description.byteTokens[Int(text[0])] = Int32(id) }
    }
    for special in specials {
      description.pieces[special.id] = .init(bytes: Array(special.name.utf8), flags: .special)
      description.addedTokens.append(.init(id: Int32(special.id), flags: .special))
    }
    description.merges = try ConcatenationMerges.make(
      texts, table, path: path, rank: { UInt32($0) })
    // tiktoken looks a word up before it merges.
    description.options.insert(.ignoresMerges)
    return description
  }

  private func step(
    _ expression: Tokenizer.TiktokenExpression
  ) throws(TokenizerError) -> TokenizerStep {
    switch expression {
    case .gpt2: return .init(kind: .gpt2Words)
    case .cl100k: return .init(kind: .llama3Words, flags: 3)
    case .qwen2: return .init(kind: .llama3Words, flags: 1)
    case .o200k: return KnownExpressions.step(KnownExpressions.o200k)
    case .custom(let source):
      do throws(ExpressionParser.Failure) {
        _ = try Expression(source)
      } catch {
        throw .unsupported(
          path: path, field: "expression", found: source,
          supported: "no \(error.reason) (character \(error.position))")
      }
      return KnownExpressions.step(source)
    }
  }

  /// The bytes of each token, by rank; a rank that no line has is empty.
  private func tokens(_ bytes: [UInt8]) throws(TokenizerError) -> [[UInt8]] {
    var texts: [[UInt8]] = []
    func failure(_ line: Int, _ expected: String, _ found: some Sequence<UInt8>) -> TokenizerError {
      .invalidField(
        path: path, field: "line \(line + 1)", expected: expected,
        found: String(decoding: Array(found.prefix(80)), as: UTF8.self))
    }
    for (number, line) in bytes.split(separator: UInt8(ascii: "\n")).enumerated() {
      var line = line
      if line.last == UInt8(ascii: "\r") { line = line.dropLast() }
      if line.isEmpty { continue }
      let parts = line.split(separator: UInt8(ascii: " "))
      guard parts.count == 2, let text = Base64.decode(parts[0]), !text.isEmpty,
        let rank = Int(String(decoding: parts[1], as: UTF8.self)), rank >= 0
      else { throw failure(number, "a token in base 64 and its rank", line) }
      guard rank < Self.tokenLimit, rank <= bytes.count else {
        throw .idOutOfRange(
          path: path, piece: String(decoding: text, as: UTF8.self), id: rank,
          limit: min(Self.tokenLimit, bytes.count))
      }
      while texts.count <= rank { texts.append([]) }
      guard texts[rank].isEmpty else {
        throw .duplicateId(
          path: path, id: rank, first: String(decoding: texts[rank], as: UTF8.self),
          second: String(decoding: text, as: UTF8.self))
      }
      texts[rank] = text
    }
    guard !texts.isEmpty else { throw failure(0, "lines of a token and its rank", []) }
    return texts
  }
}
