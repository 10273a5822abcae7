import EmberFormat
import EmberTokenizer

/// The tokens of a text and what identifies it.
struct EvaluationText {
  let ids: [Int32]
  let name: String?
  let byteCount: Int?
  /// Of the text's UTF-8, in hexadecimal.
  let sha256: String?

  /// Encodes without a beginning-of-sequence token; "<|endoftext|>" in the text is text.
  init(_ text: String, name: String?, tokenizer: Tokenizer) {
    ids = tokenizer.encode(text, addingBeginOfSequence: false, parsingSpecialTokens: false)
    self.name = name
    byteCount = text.utf8.count
    sha256 = SHA256.hexadecimal(of: text)
  }

  init(ids: [Int32]) {
    self.ids = ids
    name = nil
    byteCount = nil
    sha256 = nil
  }
}
