/// Why a tokenizer could not be read, converted or trusted.
public enum TokenizerError: Error, Equatable, Sendable {
  /// The file could not be opened or read; `reason` is the system's.
  case unreadable(path: String, reason: String)
  /// The file is larger than any tokenizer of this kind should be.
  case fileTooLarge(path: String, byteCount: Int, limit: Int)
  /// A vocabulary size that no model has.
  case invalidVocabularySize(path: String, found: Int, limit: Int)
  /// tokenizer.bin ends in the middle of this token: cut short, or made for a smaller vocabulary.
  case truncatedVocabulary(path: String, token: Int, vocabularySize: Int, byteCount: Int)
  /// tokenizer.bin goes on after the model's last token: it belongs to a larger vocabulary.
  case trailingBytes(path: String, vocabularySize: Int, byteCount: Int)
  /// A token's length is negative, or longer than Ember reads.
  case invalidTokenLength(path: String, token: Int, found: Int, limit: Int)
  /// The vocabulary yields more merges than Ember stores.
  case tooManyMerges(path: String, limit: Int)
  /// The text is not JSON, from this byte on.
  case invalidJSON(path: String, offset: Int, reason: String)
  /// A key that must be there is absent, or holds another kind of value.
  case invalidField(path: String, field: String, expected: String, found: String)
  /// The file asks for something that Ember does not do.
  case unsupported(path: String, field: String, found: String, supported: String)
  /// Two pieces of the vocabulary have the same id.
  case duplicateId(path: String, id: Int, first: String, second: String)
  /// One piece is in the vocabulary twice, or as an added token under another id.
  case conflictingPiece(path: String, piece: String, first: Int, second: Int)
  /// An id is negative, or so high that the vocabulary would be mostly holes.
  case idOutOfRange(path: String, piece: String, id: Int, limit: Int)
  /// A merge names a token that the vocabulary lacks.
  case mergeTokenMissing(path: String, merge: Int, token: String)
  /// A special token's id (beginning or end of sequence) is not in the vocabulary.
  case specialIdOutOfRange(path: String, name: String, id: Int, vocabularySize: Int)
  /// The pieces collide in the hash table far more than chance allows: a vocabulary made to do so.
  case hashCollisions(path: String)
  /// The stored form does not begin as one does.
  case notATokenizer(found: [UInt8])
  /// The stored form has a version that this Ember does not read.
  case unsupportedVersion(found: UInt32, supported: UInt32)
  /// The stored form contradicts itself; `at` is the byte where.
  case invalidForm(at: Int, expected: String, found: String)
  /// Encoding a stored text gives other ids than when the file was made.
  case selfCheckFailed(text: String, expected: [Int32], found: [Int32])
  /// The tokenizer does what another format has no words for.
  case notExpressible(format: String, found: String, supported: String)
}

extension TokenizerError: CustomStringConvertible {
  /// One line: what, where, expected, found, and what to do where there is something to do.
  public var description: String {
    switch self {
    case .unreadable(let path, let reason):
      return "cannot read the tokenizer \(path): \(reason)"
    case .fileTooLarge(let path, let byteCount, let limit):
      return "\(path): \(byteCount) bytes, too large for a tokenizer (at most \(limit))"
    case .invalidVocabularySize(let path, let found, let limit):
      return "\(path): the model's vocabulary size is \(found), expected 1 to \(limit)"
    case .truncatedVocabulary(let path, let token, let vocabularySize, let byteCount):
      return "\(path): ends inside token \(token) of \(vocabularySize), after \(byteCount) bytes;"
        + " the file is cut short or belongs to a model with a smaller vocabulary"
    case .trailingBytes(let path, let vocabularySize, let byteCount):
      return "\(path): \(byteCount) bytes follow the model's \(vocabularySize) tokens;"
        + " the file belongs to a model with a larger vocabulary"
    case .invalidTokenLength(let path, let token, let found, let limit):
      return "\(path): token \(token) claims \(found) bytes, expected 0 to \(limit);"
        + " this may not be a llama2.c tokenizer.bin"
    case .tooManyMerges(let path, let limit):
      return "\(path): the vocabulary yields more than \(limit) merges, the most that are supported"
    case .invalidJSON(let path, let offset, let reason):
      return "\(path): not JSON at byte \(offset): \(reason)"
    case .invalidField(let path, let field, let expected, let found):
      return "\(path): \(field): expected \(expected), found \(Self.quoted(found))"
    case .unsupported(let path, let field, let found, let supported):
      return "\(path): \(field): \(Self.quoted(found)) is not supported; supported: \(supported)"
    case .duplicateId(let path, let id, let first, let second):
      return "\(path): id \(id) belongs to both \(Self.quoted(first)) and \(Self.quoted(second))"
    case .conflictingPiece(let path, let piece, let first, let second):
      return "\(path): the piece \(Self.quoted(piece)) has two ids, \(first) and \(second)"
    case .idOutOfRange(let path, let piece, let id, let limit):
      return "\(path): the piece \(Self.quoted(piece)) has id \(id), expected 0 to \(limit)"
    case .mergeTokenMissing(let path, let merge, let token):
      return "\(path): merge \(merge) needs the token \(Self.quoted(token)),"
        + " which the vocabulary lacks"
    case .specialIdOutOfRange(let path, let name, let id, let vocabularySize):
      return "\(path): the \(name) id is \(id), expected 0 to \(vocabularySize - 1)"
    case .hashCollisions(let path):
      return "\(path): the vocabulary's hashes collide as in no real one; refused"
    case .notATokenizer(let found):
      return "not a stored tokenizer: expected the bytes \"EMBERTOK\", found \(found)"
    case .unsupportedVersion(let found, let supported):
      return "stored tokenizer has version \(found), supported: \(supported);"
        + " convert the model again, or use a newer Ember"
    case .invalidForm(let at, let expected, let found):
      return "stored tokenizer is damaged at byte \(at): expected \(expected), found \(found);"
        + " convert the model again"
    case .selfCheckFailed(let text, let expected, let found):
      return "the tokenizer's self-check failed for \(Self.quoted(text)):"
        + " expected \(Self.listed(expected)), found \(Self.listed(found))"
    case .notExpressible(let format, let found, let supported):
      return "the tokenizer cannot be written as \(format): found \(found), expected \(supported)"
    }
  }

  /// On one line whatever the text holds, and never long: the text comes from a stranger's file.
  private static func quoted(_ text: String) -> String {
    let shown = text.unicodeScalars.prefix(80).map { $0.escaped(asASCII: false) }.joined()
    return "\"\(shown)\"" + (text.unicodeScalars.count > 80 ? "…" : "")
  }

  private static func listed(_ ids: [Int32]) -> String {
    ids.prefix(16).map(String.init).joined(separator: " ") + (ids.count > 16 ? " …" : "")
  }
}
