import EmberFormat
public import SystemPackage

/// Writes a statistics file, a site at a time; `formats/statistics.md` specifies it.
///
/// ```swift
/// var writer = try StatisticsFileWriter(creating: path, model: fingerprint, detail: .full)
/// let summary = try calibrator.run(text: text) { site, moments in
///   try writer.add(moments, at: site)
/// }
/// try writer.finish(texts: [summary.text])
/// ```
///
/// The file appears at its place when it is finished, and not at all if it is not.
public struct StatisticsFileWriter: ~Copyable {
  private var output: BufferedOutput
  private let model: ModelFingerprint
  private let detail: SecondMoments.Detail
  private var directory: [UInt8] = []
  private var sites: Set<CalibrationSite> = []

  /// - Throws: `CalibrationError.file`, `.invalidContent`
  public init(
    creating path: FilePath, model: ModelFingerprint, detail: SecondMoments.Detail
  ) throws(CalibrationError) {
    guard model.name.utf8.count <= StatisticsDescription.maximumNameBytes else {
      throw .invalidContent(
        "the architecture's name has \(model.name.utf8.count) bytes, expected at most "
          + "\(StatisticsDescription.maximumNameBytes)")
    }
    do {
      output = BufferedOutput(try TemporaryFile(replacing: path), at: StatisticsHeader.byteCount)
    } catch {
      throw .file(error)
    }
    self.model = model
    self.detail = detail
  }

  /// Appends a site, each once, in any order.
  ///
  /// - Throws: `CalibrationError.file`, `.differentDetail`, `.invalidContent`
  public mutating func add(
    _ moments: SecondMoments, at site: CalibrationSite
  ) throws(CalibrationError) {
    guard model.columns(of: site) == moments.columns else {
      throw .invalidContent("\(site): \(moments.columns) columns, not what the model has")
    }
    guard moments.detail == detail else {
      throw .differentDetail(expected: detail, found: moments.detail)
    }
    guard (0...SiteRecord.maximumTokens).contains(moments.tokenCount) else {
      throw .invalidContent("\(site): \(moments.tokenCount) tokens, expected at most 2^48")
    }
    if let problem = moments.problem {
      throw .invalidContent("\(site): \(problem)")
    }
    guard sites.insert(site).inserted else { throw .invalidContent("\(site): added twice") }
    do {
      try output.pad(to: StatisticsHeader.alignment)
      let offset = output.position
      var checksum = CRC32()
      try append(moments.squares, &checksum)
      try append(moments.maxima, &checksum)
      if let products = moments.products { try append(products, &checksum) }
      let record = SiteRecord(
        site: site, columns: moments.columns, tokenCount: moments.tokenCount, offset: offset,
        bytes: output.position - offset, checksum: checksum.value)
      record.append(to: &directory)
    } catch {
      throw .file(error)
    }
  }

  /// Completes the file and puts it at its place; returns its size.
  ///
  /// - Throws: `CalibrationError.file`, `.invalidContent`
  @discardableResult
  public consuming func finish(texts: [CalibrationText]) throws(CalibrationError) -> Int {
    let description = StatisticsDescription(model: model, texts: texts).encoded()
    guard description.count <= StatisticsHeader.maximumDescriptionBytes else {
      throw .invalidContent("\(texts.count) texts are more than a file can name")
    }
    do {
      var header = StatisticsHeader()
      try output.pad(to: StatisticsHeader.alignment)
      header.descriptionOffset = output.position
      header.descriptionBytes = description.count
      header.descriptionChecksum = CRC32.checksum(description)
      try output.append(description)
      try output.pad(to: StatisticsHeader.alignment)
      header.directoryOffset = output.position
      header.directoryChecksum = CRC32.checksum(directory)
      header.siteCount = directory.count / SiteRecord.byteCount
      header.detail = detail
      try output.append(directory)
      header.fileBytes = output.position
      return try output.commit(headerBytes: header.encoded())
    } catch {
      throw .file(error)
    }
  }

  /// Numbers as they lie in memory: files are little-endian, and so is every processor that Ember
  /// runs on.
  private mutating func append<T: BinaryFloatingPoint>(
    _ values: [T], _ checksum: inout CRC32
  ) throws(FormatError) {
    var result: Result<Void, FormatError> = .success(())
    values.withUnsafeBytes { bytes in
      checksum.update(bytes)
      do throws(FormatError) { try output.append(bytes) } catch { result = .failure(error) }
    }
    try result.get()
  }
}
