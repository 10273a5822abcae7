/// What a file that is not a model file looks like: people pass the checkpoint itself, or what a
/// failed download left.
enum ForeignFormat {
  /// A few words with advice, from the file's first bytes and its size.
  static func describe(_ bytes: [UInt8], fileBytes: Int) -> String {
    let convert = "run `ember quantize` on it first"
    func starts(_ prefix: String) -> Bool { bytes.starts(with: Array(prefix.utf8)) }
    if isTextDamaged(bytes) {
      return "an Ember file changed by a text-mode transfer; transfer it again as binary"
    }
    if starts("GGUF") { return "a GGUF file; " + convert }
    if starts("lmgg") || starts("tjgg") || starts("fmgg") {
      return "an old GGML file; Ember converts from the original checkpoint"
    }
    if bytes.starts(with: [0x28, 0xB5, 0x2F, 0xFD]) {
      return "a packed (zstd) file; run `ember unpack` on it first"
    }
    if starts("PK\u{3}\u{4}") {
      return "a zip archive, perhaps a PyTorch checkpoint; " + convert
    }
    if bytes.starts(with: [0x80, 0x02]) {
      return "a Python pickle, perhaps a PyTorch checkpoint; " + convert
    }
    if starts("version https://git-lfs") {
      return "a Git LFS pointer instead of the file; run `git lfs pull`"
    }
    let start = String(decoding: bytes.prefix(64), as: UTF8.self).lowercased()
    if start.contains("<html") || start.contains("<!doctype") {
      return "a web page instead of the file; download it again"
    }
    if isSafetensors(bytes, fileBytes: fileBytes) {
      return "a safetensors checkpoint; " + convert
    }
    if starts("24ka") || isLlama2c(bytes) {
      return "a llama2.c checkpoint; " + convert
    }
    if bytes.first == UInt8(ascii: "{") { return "a JSON file" }
    let magic = bytes.prefix(8).map { byte in
      (byte < 16 ? "0" : "") + String(byte, radix: 16)
    }
    return "the first bytes \(magic.joined(separator: " "))"
  }

  /// The magic after 0D 0A became 0A or 0D, or its first byte lost the high bit.
  private static func isTextDamaged(_ bytes: [UInt8]) -> Bool {
    guard bytes.count >= 5, bytes[0] & 0x7F == FileHeader.magic[0] & 0x7F else { return false }
    return Array(bytes[1..<5]) == Array(FileHeader.magic[1..<5])
  }

  private static func isSafetensors(_ bytes: [UInt8], fileBytes: Int) -> Bool {
    guard bytes.count >= 10, bytes[8] == UInt8(ascii: "{") else { return false }
    return bytes.littleEndian(UInt64.self, at: 0) <= UInt64(max(fileBytes - 8, 0))
  }

  /// Seven int32: width, feed-forward width, layers, heads, key/value heads, ± vocabulary, context.
  private static func isLlama2c(_ bytes: [UInt8]) -> Bool {
    guard bytes.count >= 28 else { return false }
    let field = (0..<7).map { Int32(bitPattern: bytes.littleEndian(UInt32.self, at: 4 * $0)) }
    return (1...65_536).contains(field[0]) && (1...1_048_576).contains(field[1])
      && (1...1024).contains(field[2]) && (1...1024).contains(field[3])
      && (1...field[3]).contains(field[4]) && field[0] % field[3] == 0
      && (1...4_194_304).contains(field[5].magnitude) && (1...4_194_304).contains(field[6])
  }
}
