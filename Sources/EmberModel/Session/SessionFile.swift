import EmberFormat
public import SystemPackage

/// Keys and values of a text, kept in a file, so that a long prompt is computed once.
///
/// ```swift
/// let file = SessionFile("chat.session")
/// let restored = try file.restore(tokens, into: session)   // 0 where there is no file
/// let logits = try session.append(Array(tokens[restored...]))
/// try file.save(tokens, of: session)
/// ```
///
/// Whatever begins like the saved text need not be computed again: the positions that both have in
/// common are restored, bit for bit, and the rest is computed. So the logits and the text are the
/// same with and without the file. A file belongs to one model file and one kind of cache, not to a
/// context length; `formats/session.md` specifies it. It is written beside its target and renamed;
/// reading and writing need memory for 64 positions of one layer, not for a second cache.
public struct SessionFile: Sendable {
  public let path: FilePath

  /// zstd's level: keys and values compress little, and no higher level gains more;
  /// `docs/packing.md` has the figures.
  static let level = 1

  public init(_ path: FilePath) { self.path = path }

  /// Whether a file of that name could be written, and whether the one that is there is of this
  /// session's model and kind of cache. For asking before a long computation.
  ///
  /// - Throws: `SessionFileError`
  public func check(for session: InferenceSession) throws(SessionFileError) {
    do throws(FormatError) {
      try FileReplacement.check(path)
    } catch {
      throw .file(error)
    }
    do throws(SessionFileError) {
      let reader = try SessionFileReader.opening(path)
      try reader.header.requireMatch(SessionHeader(session, positions: 0), path)
    } catch .file(.notFound) {
      return
    } catch {
      throw error
    }
  }

  /// Puts the positions that the saved text has in common with `tokens` into the session, which then
  /// holds these and no others. The last of `tokens` is never restored: computing it gives the logits.
  ///
  /// - Returns: how many positions need not be computed; 0 where there is no file, or its text is so
  ///   much longer that layers with a window have forgotten what is needed.
  /// - Throws: `SessionFileError`; then the session holds no positions.
  public func restore(
    _ tokens: [Int32], into session: InferenceSession
  ) throws(SessionFileError) -> Int {
    session.truncate(to: 0)
    do throws(SessionFileError) {
      var reader = try SessionFileReader.opening(path)
      try reader.header.requireMatch(SessionHeader(session, positions: 0), path)
      let saved = try reader.tokens(of: session.model.architecture)
      let limit = min(saved.count, tokens.count - 1, session.contextLength)
      var common = 0
      while common < limit, saved[common] == tokens[common] { common += 1 }
      guard session.cache.canGoOn(at: common, ofText: saved.count) else { return 0 }
      session.reserve(positions: common)
      try reader.restore(common, into: session)
      session.position = common
      return common
    } catch .file(.notFound) {
      return 0
    } catch {
      throw error
    }
  }

  /// Saves the positions that the session holds.
  ///
  /// - Parameter tokens: the text, of which the session holds as many positions as it has computed;
  ///   those beyond are not saved.
  /// - Returns: bytes of the file; 0 where there are no positions, or layers with a window have
  ///   forgotten some of them, and so no file is written.
  /// - Throws: `SessionFileError`; then the file is as it was.
  @discardableResult
  public func save(
    _ tokens: [Int32], of session: InferenceSession
  ) throws(SessionFileError) -> Int {
    let positions = min(session.position, tokens.count)
    // What a reader expects of local layers must be there still.
    guard positions > 0, session.cache.firstKept <= session.cache.firstKept(of: positions) else {
      return 0
    }
    var header = try SessionHeader(session, positions: positions)
    guard let compressor = FrameCompressor(level: Self.level) else {
      throw .cannotCompress(path)
    }
    do throws(FormatError) {
      var output = BufferedOutput(
        try TemporaryFile(replacing: path), at: SessionHeader.byteCount)
      header.tokenChecksum = try append(tokens[..<positions], to: &output)
      let block = SessionBlock(session)
      var frame: [UInt8] = []
      for first in stride(from: 0, to: positions, by: SessionHeader.blockPositions) {
        let range = first..<min(first + SessionHeader.blockPositions, positions)
        for layer in 0..<session.model.architecture.layerCount {
          let isKept = session.cache.keeps(range, layer: layer, of: positions)
          guard
            block.compress(
              layer: layer, SessionBlock.groups(range), isKept, with: compressor, into: &frame)
          else {
            throw .invalidContent(path, "zstd cannot compress it")
          }
          var size = [UInt8](repeating: 0, count: 4)
          size.store(littleEndian: UInt32(truncatingIfNeeded: frame.count), at: 0)
          try output.append(size)
          try output.append(frame)
        }
      }
      return try output.commit(headerBytes: header.encoded(fileBytes: output.position))
    } catch {
      throw .file(error)
    }
  }

  /// Returns their checksum.
  private func append(
    _ tokens: ArraySlice<Int32>, to output: inout BufferedOutput
  ) throws(FormatError) -> UInt32 {
    var bytes = [UInt8](repeating: 0, count: 4 * tokens.count)
    for (index, token) in tokens.enumerated() {
      bytes.store(littleEndian: UInt32(bitPattern: token), at: 4 * index)
    }
    try output.append(bytes)
    return CRC32.checksum(bytes)
  }
}
