import EmberFormat
import EmberModel
public import SystemPackage

/// A statistics file, opened and checked; a site's moments are read when they are asked for.
///
/// ```swift
/// let file = try StatisticsFile(opening: "model.stats")
/// try file.model.requireSame(as: ModelFingerprint(architecture))
/// let moments = try file.moments(at: CalibrationSite(.down, layer: 3))
/// ```
public final class StatisticsFile: Sendable {
  public let path: FilePath
  public let model: ModelFingerprint
  public let detail: SecondMoments.Detail
  /// The texts that were added up.
  public let texts: [CalibrationText]
  /// In the order of the file.
  public let sites: [CalibrationSite]
  public let byteCount: Int
  private let file: OpenFile
  private let memoryLimit: Int?
  private let records: [CalibrationSite: SiteRecord]

  /// Reads and checks all but the sites' data.
  ///
  /// - Parameter memoryLimit: bytes that a site's moments may take; nil for what is available.
  /// - Throws: `CalibrationError.file`, `.notStatistics`, `.unsupportedVersion`, `.truncated`,
  ///   `.damaged`
  public init(
    opening path: FilePath, memoryLimit: Int? = nil
  ) throws(CalibrationError) {
    self.memoryLimit = memoryLimit
    let file = try Self.open(path)
    let size: Int
    let headerBytes: [UInt8]
    do {
      size = try file.byteCount
      headerBytes = try file.bytes(at: 0, count: min(size, StatisticsHeader.byteCount))
    } catch {
      throw .file(error)
    }
    let header = try StatisticsHeader(headerBytes, path: path, fileBytes: size)
    let description = try StatisticsDescription(
      Self.section(
        "description", file, header.descriptionOffset, header.descriptionBytes,
        header.descriptionChecksum), path: path)
    let directory = try Self.section(
      "directory", file, header.directoryOffset, header.siteCount * SiteRecord.byteCount,
      header.directoryChecksum)
    var records: [CalibrationSite: SiteRecord] = [:]
    var sites: [CalibrationSite] = []
    var end = StatisticsHeader.byteCount
    for index in 0..<header.siteCount {
      // Ends lie inside the file, so that rounding up does not overflow.
      let start = alignedUp(end, to: StatisticsHeader.alignment) ?? end
      let record = try SiteRecord(
        directory, index: index, start: start, end: header.descriptionOffset,
        model: description.model, detail: header.detail, path: path)
      guard records.updateValue(record, forKey: record.site) == nil else {
        throw .damaged(
          path, place: "site \(index)", expected: "each site once", found: "\(record.site) again")
      }
      sites.append(record.site)
      end = record.offset + record.bytes
    }
    guard alignedUp(end, to: StatisticsHeader.alignment) == header.descriptionOffset else {
      throw .damaged(
        path, place: "description place", expected: "behind the last site, which ends at \(end)",
        found: "\(header.descriptionOffset)")
    }
    self.path = path
    self.file = file
    self.records = records
    self.sites = sites
    model = description.model
    texts = description.texts
    detail = header.detail
    byteCount = size
  }

  /// The moments of a site, read and checked; nil where the file does not have it.
  ///
  /// - Throws: `CalibrationError.file`, `.damaged`, `.tooLarge`
  public func moments(at site: CalibrationSite) throws(CalibrationError) -> SecondMoments? {
    guard let record = records[site] else { return nil }
    let available = memoryLimit ?? AvailableMemory.bytes
    // The file's bytes, and the arrays that are made of them.
    if record.bytes > available / 2 {
      throw .tooLarge(bytes: 2 * record.bytes, available: available)
    }
    let bytes = try Self.section(
      "\(site)", file, record.offset, record.bytes, record.checksum)
    let n = record.columns
    let moments = SecondMoments(
      columns: n, tokenCount: record.tokenCount,
      squares: Self.numbers(bytes[0..<8 * n]), maxima: Self.numbers(bytes[8 * n..<12 * n]),
      products: detail == .full ? Self.numbers(bytes[(12 * n)...]) : nil)
    if let problem = moments.problem {
      throw .damaged(path, place: "\(site)", expected: "moments", found: problem)
    }
    return moments
  }

  /// Reads everything once.
  ///
  /// - Throws: `CalibrationError.file`, `.damaged`, `.tooLarge`
  public func verify() throws(CalibrationError) {
    for site in sites { _ = try moments(at: site) }
  }

  /// Adds statistics of the same model over several texts into one file.
  ///
  /// A text that is in two of the files counts twice. The output may be one of the inputs.
  ///
  /// - Parameter isCancelled: asked before every site.
  /// - Throws: `CalibrationError`, `.differentModels` and `.differentDetail` among others; then
  ///   nothing is written.
  public static func merge(
    _ inputs: [FilePath], into output: FilePath, isCancelled: () -> Bool = { false }
  ) throws(CalibrationError) {
    var files: [StatisticsFile] = []
    for path in inputs { files.append(try StatisticsFile(opening: path)) }
    guard let first = files.first else {
      throw .invalidOption(name: "statistics", expected: "one file or more", found: "none")
    }
    for other in files.dropFirst() {
      try first.model.requireSame(as: other.model)
      guard other.detail == first.detail else {
        throw .differentDetail(expected: first.detail, found: other.detail)
      }
      guard Set(other.sites) == Set(first.sites) else {
        throw .differentModels(
          field: "sites of \(other.path)", expected: "\(first.sites.count), those of \(first.path)",
          found: "\(other.sites.count)")
      }
    }
    var writer = try StatisticsFileWriter(
      creating: output, model: first.model, detail: first.detail)
    for site in first.sites {
      if isCancelled() { throw .cancelled }
      guard var sum = try first.moments(at: site) else { continue }
      for other in files.dropFirst() {
        if let more = try other.moments(at: site) { try sum.merge(more) }
      }
      try writer.add(sum, at: site)
    }
    try writer.finish(texts: files.flatMap(\.texts))
  }

  private static func open(_ path: FilePath) throws(CalibrationError) -> OpenFile {
    do {
      return try OpenFile.reading(path)
    } catch {
      throw .file(error)
    }
  }

  /// The bytes of a section; it lies inside the file.
  private static func section(
    _ name: String, _ file: borrowing OpenFile, _ offset: Int, _ count: Int, _ checksum: UInt32
  ) throws(CalibrationError) -> [UInt8] {
    let bytes: [UInt8]
    do {
      bytes = try file.bytes(at: offset, count: count)
    } catch {
      throw .file(error)
    }
    let computed = CRC32.checksum(bytes)
    guard computed == checksum else {
      throw .damaged(
        file.path, place: "checksum of \(name)", expected: hexadecimal(checksum),
        found: hexadecimal(computed))
    }
    return bytes
  }

  /// Numbers as the file has them; their bytes are whole numbers' by the layout.
  private static func numbers<T: BinaryFloatingPoint>(_ bytes: ArraySlice<UInt8>) -> [T] {
    let count = bytes.count / MemoryLayout<T>.size
    return [T](unsafeUninitializedCapacity: count) { values, initialized in
      bytes.withUnsafeBytes { source in
        UnsafeMutableRawBufferPointer(values).copyMemory(
          from: UnsafeRawBufferPointer(rebasing: source[..<(count * MemoryLayout<T>.size)]))
      }
      initialized = count
    }
  }
}

extension SecondMoments {
  /// What no sum of squares can be, or nil.
  var problem: String? {
    for (column, square) in squares.enumerated() where !(square >= 0 && square.isFinite) {
      return "Σ x² of column \(column) is \(square)"
    }
    for (column, maximum) in maxima.enumerated() where !(maximum >= 0 && maximum.isFinite) {
      return "max |x| of column \(column) is \(maximum)"
    }
    guard let products else { return nil }
    return products.allSatisfy(\.isFinite) ? nil : "a product is infinite or not a number"
  }
}
