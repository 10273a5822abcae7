import SystemPackage

/// The header of a llama2.c checkpoint, little-endian.
///
/// Version 0 has seven int32. Versions 1 (binary32) and 2 (8 bits with a scale per group) have 256
/// bytes: a magic, the version, the seven, a byte that says whether the head is tied, and in
/// version 2 the size of a group, at byte 37.
///
/// Source: `legacy_export`, `version1_export` and `version2_export` in
/// <https://github.com/karpathy/llama2.c> export.py, `Config` in run.c.
struct Llama2CHeader: Sendable, Equatable {
  let width: Int
  let feedForwardWidth: Int
  let layerCount: Int
  let headCount: Int
  let keyValueHeadCount: Int
  let vocabularySize: Int
  let contextLength: Int
  /// A negative vocabulary size says that the head is a matrix of its own.
  let tiedHead: Bool
  let version: Int
  /// Elements that share a scale, version 2 only.
  let groupSize: Int?

  /// Bytes of the header.
  var size: Int { version == 0 ? Self.legacySize : Self.largestSize }
  static let largestSize = 256
  private static let legacySize = 28
  /// The first word of versions 1 and 2, "ak42".
  private static let magic = 0x616B_3432

  var headDimension: Int { width / headCount }
  var keyValueWidth: Int { keyValueHeadCount * headDimension }

  /// Parses the beginning of a file; refuses what cannot be a header and says what it may be.
  init(_ bytes: [UInt8], path: FilePath) throws(CheckpointError) {
    if let other = Self.otherFormat(bytes) { throw .unsupportedFormat(path: path, found: other) }
    let isLegacy = bytes.count < 8 || Self.word(0, of: bytes) != Self.magic
    version = isLegacy ? 0 : Self.word(1, of: bytes)
    let size = isLegacy ? Self.legacySize : Self.largestSize
    guard bytes.count >= size else {
      throw .wrongSize(path: path, expected: size, found: bytes.count)
    }
    let words = (0..<7).map { Self.word((isLegacy ? 0 : 2) + $0, of: bytes) }
    func count(_ index: Int, _ field: String) throws(CheckpointError) -> Int {
      guard words[index] > 0 else {
        throw .implausibleHeader(
          path: path, field: field, expected: "a number above 0", found: words[index])
      }
      return words[index]
    }
    width = try count(0, "dim")
    feedForwardWidth = try count(1, "hidden_dim")
    layerCount = try count(2, "n_layers")
    headCount = try count(3, "n_heads")
    keyValueHeadCount = try count(4, "n_kv_heads")
    guard words[5] != 0, isLegacy || words[5] > 0 else {
      throw .implausibleHeader(
        path: path, field: "vocab_size", expected: isLegacy ? "not 0" : "a number above 0",
        found: words[5])
    }
    // Magnitudes of int32 fit in Int, that of the most negative one too.
    vocabularySize = abs(words[5])
    tiedHead = isLegacy ? words[5] > 0 : bytes[36] != 0
    groupSize = version == 2 ? Self.word(0, of: Array(bytes[37..<41])) : nil
    contextLength = try count(6, "seq_len")
    guard width % headCount == 0 else {
      throw .implausibleHeader(
        path: path, field: "n_heads", expected: "a divisor of dim (\(width))", found: headCount)
    }
    guard headCount % keyValueHeadCount == 0 else {
      throw .implausibleHeader(
        path: path, field: "n_kv_heads", expected: "a divisor of n_heads (\(headCount))",
        found: keyValueHeadCount)
    }
    guard headDimension % 2 == 0 else {
      throw .implausibleHeader(
        path: path, field: "dim / n_heads", expected: "an even number", found: headDimension)
    }
    // The exporter takes groups that divide the width; of the other matrices' sizes one is a factor.
    if let groupSize {
      guard groupSize > 0, width % groupSize == 0 else {
        throw .implausibleHeader(
          path: path, field: "group_size", expected: "a divisor of dim (\(width))",
          found: groupSize)
      }
    }
  }

  /// The int32 number `index`.
  private static func word(_ index: Int, of bytes: [UInt8]) -> Int {
    let word = (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[4 * index + $1]) << (8 * UInt32($1)) }
    return Int(Int32(bitPattern: word))
  }

  /// Another format that the first bytes give away.
  private static func otherFormat(_ bytes: [UInt8]) -> String? {
    for magic in ["lmgg", "fmgg", "tjgg"] where bytes.starts(with: Array(magic.utf8)) {
      return "a GGML file"
    }
    if bytes.count >= 8, word(0, of: bytes) == magic, !(1...2).contains(word(1, of: bytes)) {
      return "a llama2.c checkpoint of version \(word(1, of: bytes))"
    }
    return nil
  }
}
