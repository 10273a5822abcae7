import Crypto
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
    var text = text
    let digest = text.withUTF8 { utf8 in
      var hash = SHA256()
      hash.update(bufferPointer: UnsafeRawBufferPointer(utf8))
      return hash.finalize()
    }
    sha256 = digest.map { byte in
      let digits = String(byte, radix: 16)
      return digits.count == 1 ? "0" + digits : digits
    }.joined()
  }

  init(ids: [Int32]) {
    self.ids = ids
    name = nil
    byteCount = nil
    sha256 = nil
  }
}
