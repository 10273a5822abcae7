extension Tokenizer {
  /// This tokenizer as a Hugging Face `tokenizer.json`.
  ///
  /// Read again, it gives the same ids; for a tokenizer that came from such a file it is the same
  /// file in all that encoding and decoding heed. Texts of the self-check are compared before it is
  /// handed out.
  ///
  /// - Throws: `notExpressible` names what such a file cannot say.
  package func huggingFaceJSON() throws(TokenizerError) -> [UInt8] {
    var writer = HuggingFaceWriter(description: try storedDescription())
    let json = try writer.json()
    let name = "tokenizer.json"
    let copy = try Tokenizer.huggingFace(
      json: json, path: name, beginOfSequence: layout.beginOfSequence.map { Int($0) },
      endOfSequence: layout.endOfSequence.map { Int($0) })
    for text in SerializedTokenizerWriter.selfCheckTexts
    where copy.encode(text) != encode(text) {
      throw .notExpressible(
        format: name, found: "another encoding of \"\(text)\"",
        supported: "tokenizers that give the same ids when they are read again")
    }
    return json
  }

  /// The text that stands for a token, such as `<s>`; nil where the id has none.
  package func name(of id: Int32) -> String? {
    guard id >= 0, Int(id) < layout.pieceCount else { return nil }
    let piece = SerializedReader(storage).piece(Int(id), layout)
    return piece.isEmpty ? nil : String(validating: piece, as: UTF8.self)
  }
}
