import EmberFormat
import SystemPackage

/// The first bytes of a session file; `formats/session.md` has the table.
struct SessionHeader: Equatable {
  static let magic: [UInt8] = [0x89, 0x45, 0x4D, 0x53, 0x53, 0x0D, 0x0A, 0x1A]
  static let version: UInt32 = 1
  static let byteCount = 384
  static let maximumNameBytes = 160
  /// Positions whose keys and values are compressed together, a layer at a time.
  static let blockPositions = 64

  /// SHA-256 of the model file's header and directory, hexadecimal.
  var fingerprint: String
  var modelBytes: UInt64
  /// Name of the model's file, for people.
  var modelName: String
  /// How keys and values are stored, such as `16` or `8`.
  var cache: String
  var layers: UInt32
  var heads: UInt32
  /// Bytes of sixteen positions of one head.
  var groupBytes: UInt32
  /// Positions of the cache, and tokens.
  var positions: UInt32
  var tokenChecksum: UInt32 = 0

  func encoded(fileBytes: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: Self.byteCount)
    func place(_ text: String, at offset: Int) {
      bytes.replaceSubrange(offset..<offset + text.utf8.count, with: text.utf8)
    }
    bytes.replaceSubrange(0..<8, with: Self.magic)
    bytes.store(littleEndian: Self.version, at: 8)
    bytes.store(littleEndian: UInt32(Self.byteCount), at: 12)
    bytes.store(littleEndian: UInt64(fileBytes), at: 16)
    bytes.store(littleEndian: modelBytes, at: 24)
    place(fingerprint, at: 32)
    place(modelName, at: 96)
    place(cache, at: 256)
    bytes.store(littleEndian: layers, at: 288)
    bytes.store(littleEndian: heads, at: 292)
    bytes.store(littleEndian: groupBytes, at: 296)
    bytes.store(littleEndian: positions, at: 300)
    bytes.store(littleEndian: tokenChecksum, at: 304)
    bytes.store(littleEndian: CRC32.checksum(Array(bytes[0..<380])), at: 380)
    return bytes
  }

  /// Checks the header against itself and the size of the file.
  ///
  /// - Parameter bytes: the first of the file, as many as a header has or all there are.
  init(_ bytes: [UInt8], fileBytes: Int, path: FilePath) throws(SessionFileError) {
    guard !bytes.isEmpty else { throw .notSessionFile(path, found: "an empty file") }
    guard bytes.prefix(8).elementsEqual(Self.magic.prefix(bytes.count)) else {
      let digits = bytes.prefix(8).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }
      throw .notSessionFile(path, found: "the first bytes \(digits.joined(separator: " "))")
    }
    // The version first, because everything after it may differ in another version.
    if bytes.count >= 12 {
      let version = bytes.littleEndian(UInt32.self, at: 8)
      guard version == Self.version else {
        throw .unsupportedVersion(path, found: version)
      }
    }
    guard bytes.count == Self.byteCount else {
      throw .truncated(path, expected: Self.byteCount, found: fileBytes)
    }
    func require(_ holds: Bool, _ place: String, _ expected: String, _ found: String)
      throws(SessionFileError)
    {
      if !holds { throw .damaged(path, place: place, expected: expected, found: found) }
    }
    let checksum = CRC32.checksum(Array(bytes[0..<380]))
    let stored = bytes.littleEndian(UInt32.self, at: 380)
    try require(
      checksum == stored, "header checksum", hexadecimal(stored), hexadecimal(checksum))
    let headerBytes = bytes.littleEndian(UInt32.self, at: 12)
    try require(
      headerBytes == UInt32(Self.byteCount), "header size", "\(Self.byteCount)", "\(headerBytes)")
    try require(
      bytes[308..<380].allSatisfy { $0 == 0 }, "reserved bytes of the header", "0", "other values")
    let claimed = bytes.littleEndian(UInt64.self, at: 16)
    if claimed > UInt64(fileBytes), let claimed = Int(exactly: claimed) {
      throw .truncated(path, expected: claimed, found: fileBytes)
    }
    try require(claimed == UInt64(fileBytes), "file size", "\(fileBytes)", "\(claimed)")

    func text(_ range: Range<Int>) -> String? {
      let field = bytes[range]
      let characters = field.prefix { $0 != 0 }
      guard field.dropFirst(characters.count).allSatisfy({ $0 == 0 }) else { return nil }
      return String(validating: characters, as: UTF8.self)
    }
    guard let fingerprint = text(32..<96), let name = text(96..<256), let cache = text(256..<288)
    else {
      throw .damaged(
        path, place: "names in the header", expected: "UTF-8, then zeros", found: "other bytes")
    }
    self.fingerprint = fingerprint
    modelName = name
    self.cache = cache
    modelBytes = bytes.littleEndian(UInt64.self, at: 24)
    layers = bytes.littleEndian(UInt32.self, at: 288)
    heads = bytes.littleEndian(UInt32.self, at: 292)
    groupBytes = bytes.littleEndian(UInt32.self, at: 296)
    positions = bytes.littleEndian(UInt32.self, at: 300)
    tokenChecksum = bytes.littleEndian(UInt32.self, at: 304)
    try require(positions >= 1, "number of positions", "1 or more", "0")
    // Four bytes for each token, so the count is no larger than the file.
    let room = (fileBytes - Self.byteCount) / 4
    try require(
      Int(positions) <= room, "number of positions", "at most \(room), for which there is room",
      "\(positions)")
  }

  /// What a session of this model and cache would write.
  init(_ session: InferenceSession, positions: Int) throws(SessionFileError) {
    let file = session.model.file
    do throws(FormatError) {
      fingerprint = try file.fingerprint()
    } catch {
      throw .file(error)
    }
    modelBytes = UInt64(file.fileBytes)
    modelName = Self.shortened(OneLine.escape(file.path.lastComponent?.string ?? ""))
    cache = session.cache.sessionName
    let a = session.model.architecture
    // A model in memory has fewer layers and heads, and no position takes gigabytes.
    layers = UInt32(truncatingIfNeeded: a.layerCount)
    heads = UInt32(truncatingIfNeeded: a.attention.keyValueHeadCount)
    groupBytes = UInt32(truncatingIfNeeded: session.cache.groupBytes)
    self.positions = UInt32(truncatingIfNeeded: positions)
  }

  private static func shortened(_ name: String) -> String {
    var scalars = name.unicodeScalars[...]
    while String(scalars).utf8.count > maximumNameBytes { scalars = scalars.dropLast() }
    return String(scalars)
  }

  /// Whether positions saved under this header are those of the session.
  func requireMatch(_ current: SessionHeader, _ path: FilePath) throws(SessionFileError) {
    guard fingerprint == current.fingerprint, modelBytes == current.modelBytes else {
      func words(_ header: SessionHeader) -> String {
        "\(header.modelName) (\(header.modelBytes) bytes, fingerprint"
          + " \(header.fingerprint.prefix(8)))"
      }
      throw .otherModel(path, saved: OneLine.escape(words(self)), current: words(current))
    }
    guard cache == current.cache else {
      throw .otherCache(path, saved: OneLine.escape(cache), current: current.cache)
    }
    guard layers == current.layers, heads == current.heads, groupBytes == current.groupBytes
    else {
      throw .damaged(
        path, place: "shape of the cache",
        expected: "\(current.layers) layers, \(current.heads) heads, \(current.groupBytes) bytes",
        found: "\(layers), \(heads), \(groupBytes)")
    }
  }
}

extension KeyValueCache {
  /// How keys and values are stored, as session files name it: at most 32 characters of ASCII.
  var sessionName: String { "\(precision.rawValue)" }
}
