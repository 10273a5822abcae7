import SystemPackage

extension Tokenizer {
  /// Opens a tokenizer file of any kind by what is in it: `tokenizer.json`, SentencePiece's or
  /// tiktoken's `tokenizer.model`, llama2.c's `tokenizer.bin`; or a folder with one of these.
  ///
  /// tiktoken's files do not say how words are cut: those with "qwen" in their path are cut as Qwen
  /// does, others as cl100k_base and Llama 3; `tiktoken(contentsOf:…)` takes another expression.
  ///
  /// - Returns: nil if the file is none of these, such as a model file.
  /// - Throws: as the reader of the kind; `unreadable`.
  public static func file(_ path: FilePath) throws(TokenizerError) -> Tokenizer? {
    for name in ["tokenizer.json", "tokenizer.model", "tokenizer.bin"] {
      let inside = path.appending(name)
      if TokenizerFile.exists(inside) { return try file(inside) }
    }
    let start = try TokenizerFile.read(path, atMost: 4096)
    let first = start.first { $0 > 0x20 && $0 != 0xef && $0 != 0xbb && $0 != 0xbf }
    if path.extension == "json" || (first == UInt8(ascii: "{") && path.extension == nil) {
      return try huggingFace(tokenizerJSON: path, beginOfSequence: nil, endOfSequence: nil)
    }
    if isTiktoken(start) {
      let isQwen = path.string.lowercased().contains("qwen")
      return try tiktoken(contentsOf: path, expression: isQwen ? .qwen2 : .cl100k)
    }
    switch path.extension {
    case "bin": return try llama2c(contentsOf: path)
    case "model", "spm": return try sentencePiece(contentsOf: path)
    default: return nil
    }
  }
}
