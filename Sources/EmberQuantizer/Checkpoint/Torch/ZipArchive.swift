import SystemPackage

/// Where the files of a zip archive lie that stores them as they are, without compression.
///
/// PyTorch writes checkpoints so, that tensors can be mapped. Nothing is inflated: a compressed
/// entry is refused. The central directory is read whole, and every offset, size and count in it is
/// held against the archive's size; entries may not overlap. The checksums are not computed: that
/// would read all weights once more.
///
/// Source: PKWARE's APPNOTE.TXT, sections 4.3 and 4.5.3 (zip64).
struct ZipArchive: Sendable {
  let file: CheckpointFile
  /// The bytes of each entry.
  let entries: [String: Range<Int>]

  enum Failure: Error {
    case problem(String)
    case file(CheckpointError)
  }

  static let magic: [UInt8] = [0x50, 0x4B, 3, 4]

  private static let entryLimit = 1 << 18
  private static let directoryLimit = 32 << 20
  private static let endBytes = 22

  init(_ file: CheckpointFile) throws(Failure) {
    self.file = file
    let directory = try Self.findDirectory(in: file)
    entries = try Self.readDirectory(directory.range, count: directory.count, in: file)
  }

  // MARK: The end

  /// The central directory's place: what the record at the end says, or the one of zip64.
  private static func findDirectory(
    in file: CheckpointFile
  ) throws(Failure) -> (range: Range<Int>, count: Int) {
    guard file.size >= endBytes else { throw .problem("it is truncated: no end record") }
    // A comment of up to 65535 bytes may follow.
    let tailStart = max(0, file.size - endBytes - 0xFFFF)
    let tail = try bytes(tailStart..<file.size, in: file)
    guard
      let end = stride(from: tail.count - endBytes, through: 0, by: -1).first(where: { at in
        tail.word(at) == 0x0605_4B50 && at + endBytes + Int(tail.half(at + 20)) == tail.count
      })
    else { throw .problem("it is truncated: no end record") }
    var count = Int(tail.half(end + 10))
    var size = Int(tail.word(end + 12))
    var start = Int(tail.word(end + 16))
    var limit = tailStart + end
    let locator = end - 20
    if locator >= 0, tail.word(locator) == 0x0706_4B50 {
      let at = tail.long(locator + 8)
      let latest = UInt64(max(tailStart + locator - 56, 0))
      guard at <= latest, tailStart + locator >= 56 else {
        throw .problem("its zip64 end record lies outside of the file")
      }
      let record = try bytes(Int(at)..<Int(at) + 56, in: file)
      guard record.word(0) == 0x0606_4B50 else {
        throw .problem("its zip64 end record is not where it should be")
      }
      guard let longCount = Int(exactly: record.long(32)),
        let longSize = Int(exactly: record.long(40)), let longStart = Int(exactly: record.long(48))
      else { throw .problem("its directory lies outside of the file") }
      (count, size, start, limit) = (longCount, longSize, longStart, Int(at))
    }
    guard start <= limit, size <= limit - start else {
      throw .problem("its directory of \(size) bytes at \(start) lies outside of the file")
    }
    guard size <= directoryLimit, count <= min(entryLimit, size / 46) else {
      throw .problem("its directory of \(size) bytes cannot list \(count) files")
    }
    return (start..<start + size, count)
  }

  // MARK: The directory

  private static func readDirectory(
    _ range: Range<Int>, count: Int, in file: CheckpointFile
  ) throws(Failure) -> [String: Range<Int>] {
    let directory = try bytes(range, in: file)
    var entries: [String: Range<Int>] = [:]
    var taken: [Range<Int>] = []
    var at = 0
    for _ in 0..<count {
      guard at + 46 <= directory.count, directory.word(at) == 0x0201_4B50 else {
        throw .problem("its directory is damaged at byte \(range.lowerBound + at)")
      }
      let nameEnd = at + 46 + Int(directory.half(at + 28))
      let extraEnd = nameEnd + Int(directory.half(at + 30))
      let next = extraEnd + Int(directory.half(at + 32))
      guard next <= directory.count else {
        throw .problem("its directory is damaged at byte \(range.lowerBound + at)")
      }
      let name = String(decoding: directory[(at + 46)..<nameEnd], as: UTF8.self)
      guard directory.half(at + 8) & 1 == 0 else { throw .problem("'\(name)' is encrypted") }
      guard directory.half(at + 10) == 0 else {
        throw .problem("'\(name)' is compressed; PyTorch stores its tensors as they are")
      }
      let (size, start) = try sizeAndStart(
        of: name, directory, record: at, extra: nameEnd..<extraEnd)
      let data = try dataRange(
        of: name, size: size, start: start, before: range.lowerBound, in: file)
      guard entries.updateValue(data, forKey: name) == nil else {
        throw .problem("'\(name)' appears twice")
      }
      taken.append(start..<data.upperBound)
      at = next
    }
    var end = 0
    for part in taken.sorted(by: { $0.lowerBound < $1.lowerBound }) {
      guard part.lowerBound >= end else {
        throw .problem("two of its files overlap at byte \(part.lowerBound)")
      }
      end = part.upperBound
    }
    return entries
  }

  /// An entry's size and the place of its header, from the record or its zip64 extension.
  private static func sizeAndStart(
    of name: String, _ directory: [UInt8], record at: Int, extra: Range<Int>
  ) throws(Failure) -> (size: Int, start: Int) {
    var fields = [
      UInt64(directory.word(at + 24)), UInt64(directory.word(at + 20)),
      UInt64(directory.word(at + 42)),
    ]
    var part = extra.lowerBound
    while part + 4 <= extra.upperBound {
      let end = part + 4 + Int(directory.half(part + 2))
      guard end <= extra.upperBound else { break }
      if directory.half(part) == 1 {
        // Only those fields follow that did not fit.
        var value = part + 4
        for index in fields.indices where fields[index] == 0xFFFF_FFFF && value + 8 <= end {
          fields[index] = directory.long(value)
          value += 8
        }
      }
      part = end
    }
    guard fields[0] == fields[1], let size = Int(exactly: fields[0]),
      let start = Int(exactly: fields[2])
    else {
      throw .problem("'\(name)' has two sizes: \(fields[1]) bytes stored, \(fields[0]) in all")
    }
    return (size, start)
  }

  /// Where an entry's bytes are: behind its own header, whose name and extension have lengths of
  /// their own.
  private static func dataRange(
    of name: String, size: Int, start: Int, before end: Int, in file: CheckpointFile
  ) throws(Failure) -> Range<Int> {
    guard start <= end - 30, end >= 30 else {
      throw .problem("'\(name)' lies outside of the file: it begins at \(start)")
    }
    let header = try bytes(start..<start + 30, in: file)
    guard header.starts(with: magic) else {
      throw .problem("'\(name)' is not at \(start), where the directory has it")
    }
    let data = start + 30 + Int(header.half(26)) + Int(header.half(28))
    guard data <= end, size <= end - data else {
      throw .problem("'\(name)' lies outside of the file: \(size) bytes at \(data)")
    }
    return data..<data + size
  }

  private static func bytes(
    _ range: Range<Int>, in file: CheckpointFile
  ) throws(Failure) -> [UInt8] {
    do throws(CheckpointError) {
      return try file.bytes(in: range)
    } catch {
      throw .file(error)
    }
  }
}

extension [UInt8] {
  fileprivate func half(_ at: Int) -> UInt16 { UInt16(self[at]) | UInt16(self[at + 1]) << 8 }
  fileprivate func word(_ at: Int) -> UInt32 { UInt32(half(at)) | UInt32(half(at + 2)) << 16 }
  fileprivate func long(_ at: Int) -> UInt64 { UInt64(word(at)) | UInt64(word(at + 4)) << 32 }
}
