import EmberFormat
import SystemPackage

/// The fixed header of a statistics file, written last. Offsets: `formats/statistics.md`.
struct StatisticsHeader: Equatable {
  /// Like PNG's: a lost high bit, a converted line end and a `type` on the terminal all show.
  static let magic: [UInt8] = [0x89, 0x45, 0x4D, 0x53, 0x54, 0x0D, 0x0A, 0x1A]
  static let supportedVersion: UInt32 = 1
  static let byteCount = 128
  static let alignment = 64
  static let maximumDescriptionBytes = 1 << 20

  var fileBytes = 0
  var descriptionOffset = 0
  var descriptionBytes = 0
  var descriptionChecksum: UInt32 = 0
  var siteCount = 0
  var directoryOffset = 0
  var directoryChecksum: UInt32 = 0
  var detail: SecondMoments.Detail = .diagonal

  func encoded() -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: Self.byteCount)
    bytes.replaceSubrange(0..<8, with: Self.magic)
    bytes.store(littleEndian: Self.supportedVersion, at: 8)
    bytes.store(littleEndian: UInt32(Self.byteCount), at: 12)
    bytes.store(littleEndian: UInt64(fileBytes), at: 16)
    bytes.store(littleEndian: UInt64(descriptionOffset), at: 24)
    bytes.store(littleEndian: UInt64(descriptionBytes), at: 32)
    bytes.store(littleEndian: descriptionChecksum, at: 40)
    bytes.store(littleEndian: UInt32(siteCount), at: 44)
    bytes.store(littleEndian: UInt64(directoryOffset), at: 48)
    bytes.store(littleEndian: directoryChecksum, at: 56)
    bytes.store(littleEndian: UInt32(detail == .full ? 1 : 0), at: 60)
    bytes.store(littleEndian: CRC32.checksum(Array(bytes[0..<124])), at: 124)
    return bytes
  }

  /// Checks a header against itself and the size of its file, and the sections' places too.
  init(_ bytes: [UInt8], path: FilePath, fileBytes: Int) throws(CalibrationError) {
    guard bytes.count >= 8, bytes.prefix(8).elementsEqual(Self.magic) else {
      throw .notStatistics(path)
    }
    // The version first, because everything after it may differ in another version.
    if bytes.count >= 12 {
      let version = bytes.littleEndian(UInt32.self, at: 8)
      guard version == Self.supportedVersion else {
        throw .unsupportedVersion(path, found: version)
      }
    }
    guard bytes.count == Self.byteCount else {
      throw .truncated(path, expected: Self.byteCount, found: bytes.count)
    }
    func require(_ place: String, _ holds: Bool, _ expected: String, _ found: some Any)
      throws(CalibrationError)
    {
      guard holds else {
        throw .damaged(path, place: place, expected: expected, found: "\(found)")
      }
    }
    let stored = bytes.littleEndian(UInt32.self, at: 124)
    let computed = CRC32.checksum(Array(bytes[0..<124]))
    try require("header checksum", computed == stored, hexadecimal(stored), hexadecimal(computed))
    let headerBytes = bytes.littleEndian(UInt32.self, at: 12)
    try require(
      "header size", headerBytes == UInt32(Self.byteCount), "\(Self.byteCount)", headerBytes)
    let claimed = bytes.littleEndian(UInt64.self, at: 16)
    if claimed > UInt64(fileBytes) {
      throw .truncated(path, expected: Int(clamping: claimed), found: fileBytes)
    }
    try require("file size", claimed == UInt64(fileBytes), "\(claimed)", fileBytes)
    let detail = bytes.littleEndian(UInt32.self, at: 60)
    try require("detail", detail <= 1, "0 or 1", detail)
    try require("reserved bytes", bytes[64..<124].allSatisfy { $0 == 0 }, "zeros", "others")
    siteCount = Int(bytes.littleEndian(UInt32.self, at: 44))
    // A 32-bit count of 48 bytes: no overflow.
    let directoryBytes = siteCount * SiteRecord.byteCount
    let offset = bytes.littleEndian(UInt64.self, at: 24)
    let size = bytes.littleEndian(UInt64.self, at: 32)
    let directory = bytes.littleEndian(UInt64.self, at: 48)
    try require(
      "description size", size <= UInt64(Self.maximumDescriptionBytes),
      "at most \(Self.maximumDescriptionBytes)", size)
    try require(
      "directory place",
      directory <= claimed && claimed - directory == UInt64(directoryBytes)
        && directory % UInt64(Self.alignment) == 0,
      "a multiple of \(Self.alignment), \(directoryBytes) bytes from the end of \(claimed)",
      directory)
    try require(
      "description place",
      offset >= UInt64(Self.byteCount) && offset % UInt64(Self.alignment) == 0
        && offset <= directory && size <= directory - offset
        && directory - offset - size < UInt64(Self.alignment),
      "a multiple of \(Self.alignment), ending just before \(directory)", offset)
    // All are at most the size of the file by now.
    self.fileBytes = fileBytes
    descriptionOffset = Int(offset)
    descriptionBytes = Int(size)
    directoryOffset = Int(directory)
    descriptionChecksum = bytes.littleEndian(UInt32.self, at: 40)
    directoryChecksum = bytes.littleEndian(UInt32.self, at: 56)
    self.detail = detail == 1 ? .full : .diagonal
  }

  init() {}
}

/// One site's entry in the directory.
struct SiteRecord: Equatable {
  static let byteCount = 48

  let site: CalibrationSite
  let columns: Int
  let tokenCount: Int
  let offset: Int
  let bytes: Int
  let checksum: UInt32

  func append(to directory: inout [UInt8]) {
    let at = directory.count
    directory += [UInt8](repeating: 0, count: Self.byteCount)
    directory.store(littleEndian: UInt32(site.kind.rawValue), at: at)
    directory.store(littleEndian: UInt32(site.layer), at: at + 4)
    directory.store(littleEndian: UInt64(columns), at: at + 8)
    directory.store(littleEndian: UInt64(tokenCount), at: at + 16)
    directory.store(littleEndian: UInt64(offset), at: at + 24)
    directory.store(littleEndian: UInt64(bytes), at: at + 32)
    directory.store(littleEndian: checksum, at: at + 40)
  }

  /// Reads entry `index`, whose data must begin at `start`.
  ///
  /// - Parameter end: where the description begins; all data lies before.
  init(
    _ directory: [UInt8], index: Int, start: Int, end: Int, model: ModelFingerprint,
    detail: SecondMoments.Detail, path: FilePath
  ) throws(CalibrationError) {
    let at = index * Self.byteCount
    func require(_ what: String, _ holds: Bool, _ expected: String, _ found: some Any)
      throws(CalibrationError)
    {
      guard holds else {
        throw .damaged(
          path, place: "site \(index): \(what)", expected: expected, found: "\(found)")
      }
    }
    let kindNumber = directory.littleEndian(UInt32.self, at: at)
    guard let raw = UInt16(exactly: kindNumber), let kind = CalibrationSite.Kind(rawValue: raw)
    else {
      throw .damaged(
        path, place: "site \(index): kind", expected: "0 to 4", found: "\(kindNumber)")
    }
    let layer = directory.littleEndian(UInt32.self, at: at + 4)
    try require(
      "layer", layer < (kind == .head ? 1 : UInt32(model.layerCount)), "one of the model's", layer)
    site = CalibrationSite(kind, layer: Int(layer))
    let columns = directory.littleEndian(UInt64.self, at: at + 8)
    let expected = model.columns(of: site) ?? 0
    try require("columns", columns == UInt64(expected), "\(expected)", columns)
    let tokens = directory.littleEndian(UInt64.self, at: at + 16)
    try require("tokens", tokens <= UInt64(Self.maximumTokens), "at most 2^48", tokens)
    let offset = directory.littleEndian(UInt64.self, at: at + 24)
    try require("place", offset == UInt64(start), "\(start)", offset)
    let bytes = directory.littleEndian(UInt64.self, at: at + 32)
    let size = Self.dataBytes(columns: expected, detail: detail)
    try require("size", size.map { UInt64($0) == bytes } ?? false, "\(size ?? .max)", bytes)
    try require("size", bytes <= UInt64(max(0, end - start)), "at most \(end - start)", bytes)
    let reserved = directory.littleEndian(UInt32.self, at: at + 44)
    try require("reserved bytes", reserved == 0, "0", reserved)
    self.columns = expected
    tokenCount = Int(tokens)
    self.offset = start
    self.bytes = Int(bytes)
    checksum = directory.littleEndian(UInt32.self, at: at + 40)
  }

  init(
    site: CalibrationSite, columns: Int, tokenCount: Int, offset: Int, bytes: Int, checksum: UInt32
  ) {
    self.site = site
    self.columns = columns
    self.tokenCount = tokenCount
    self.offset = offset
    self.bytes = bytes
    self.checksum = checksum
  }

  /// Keeps sums of many files' counts from overflow.
  static let maximumTokens = 1 << 48

  /// Bytes of a site's data, nil where no integer holds their number.
  static func dataBytes(columns: Int, detail: SecondMoments.Detail) -> Int? {
    let (vectors, overflowA) = columns.multipliedReportingOverflow(by: 12)
    if detail == .diagonal { return overflowA ? nil : vectors }
    guard let count = SecondMoments.triangleCount(columns) else { return nil }
    let (triangle, overflowB) = count.multipliedReportingOverflow(by: 4)
    let (total, overflowC) = triangle.addingReportingOverflow(vectors)
    return overflowA || overflowB || overflowC ? nil : total
  }
}
