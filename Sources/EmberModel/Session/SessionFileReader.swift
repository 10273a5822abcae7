import EmberFormat
import SystemPackage

/// Reads a session file from front to back, as far as is needed.
struct SessionFileReader: ~Copyable {
  let header: SessionHeader
  private let file: OpenFile
  private let fileBytes: Int
  private var position = SessionHeader.byteCount

  private init(header: SessionHeader, file: consuming OpenFile, fileBytes: Int) {
    self.header = header
    self.file = file
    self.fileBytes = fileBytes
  }

  /// - Throws: `SessionFileError`; `.file(.notFound)` where there is no file.
  static func opening(_ path: FilePath) throws(SessionFileError) -> SessionFileReader {
    let file = try open(path)
    let (start, fileBytes) = try start(of: file)
    let header = try SessionHeader(start, fileBytes: fileBytes, path: path)
    return SessionFileReader(header: header, file: file, fileBytes: fileBytes)
  }

  private static func open(_ path: FilePath) throws(SessionFileError) -> OpenFile {
    do throws(FormatError) {
      return try OpenFile.reading(path)
    } catch {
      throw .file(error)
    }
  }

  private static func start(
    of file: borrowing OpenFile
  ) throws(SessionFileError) -> (bytes: [UInt8], fileBytes: Int) {
    do throws(FormatError) {
      let fileBytes = try file.byteCount
      return (
        try file.bytes(at: 0, count: min(SessionHeader.byteCount, fileBytes)), fileBytes
      )
    } catch {
      throw .file(error)
    }
  }

  private var path: FilePath { file.path }

  /// The saved text.
  mutating func tokens(of architecture: Architecture) throws(SessionFileError) -> [Int32] {
    let count = Int(header.positions)
    guard count <= architecture.contextLength else {
      throw .damaged(
        path, place: "number of positions",
        expected: "at most \(architecture.contextLength), the model's context", found: "\(count)")
    }
    let bytes = try read(4 * count, of: "tokens")
    let checksum = CRC32.checksum(bytes)
    guard checksum == header.tokenChecksum else {
      throw .damaged(
        path, place: "checksum of the tokens", expected: hexadecimal(header.tokenChecksum),
        found: hexadecimal(checksum))
    }
    return (0..<count).map { Int32(bitPattern: bytes.littleEndian(UInt32.self, at: 4 * $0)) }
  }

  /// Fills the first `count` positions of the session's cache, of which it has room for so many.
  mutating func restore(
    _ count: Int, into session: InferenceSession
  ) throws(SessionFileError) {
    guard count > 0 else { return }
    guard let decompressor = FrameDecompressor() else { throw .cannotCompress(path) }
    let block = SessionBlock(session)
    let saved = Int(header.positions)
    for first in stride(from: 0, to: count, by: SessionHeader.blockPositions) {
      let range = first..<min(first + SessionHeader.blockPositions, saved)
      let groups = SessionBlock.groups(range)
      for layer in 0..<session.model.architecture.layerCount {
        let place = "positions from \(first) on, layer \(layer)"
        let size = try read(4, of: place).littleEndian(UInt32.self, at: 0)
        let limit = FrameDecompressor.largestFrame(contentBytes: block.byteCount(groups))
        guard Int(size) <= limit else {
          throw .damaged(
            path, place: place, expected: "a frame of at most \(limit) bytes", found: "\(size)")
        }
        let frame = try read(Int(size), of: place)
        let isKept = session.cache.keeps(range, layer: layer, of: saved)
        if let found = block.decompress(frame, layer: layer, groups, isKept, with: decompressor) {
          throw .damaged(
            path, place: place, expected: "a zstd frame of \(block.byteCount(groups)) bytes",
            found: found)
        }
      }
    }
    session.cache.release(before: session.cache.firstKept(of: saved))
    // Where the last block was wanted, nothing may follow it.
    let lastBlock = (saved - 1) / SessionHeader.blockPositions
    guard (count - 1) / SessionHeader.blockPositions < lastBlock || position == fileBytes else {
      throw .damaged(
        path, place: "byte \(position)", expected: "the end of the file", found: "more bytes")
    }
  }

  private mutating func read(_ count: Int, of place: String) throws(SessionFileError) -> [UInt8] {
    guard count <= fileBytes - position else {
      throw .damaged(
        path, place: place, expected: "\(count) bytes", found: "\(fileBytes - position), the rest")
    }
    defer { position += count }
    do throws(FormatError) {
      return try file.bytes(at: position, count: count)
    } catch {
      throw .file(error)
    }
  }
}
