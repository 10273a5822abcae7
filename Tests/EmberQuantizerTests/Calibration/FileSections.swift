import EmberFormat

/// Where the sections of a statistics file lie, by `formats/statistics.md` and independently of the
/// reader.
struct FileSections {
  let description: Range<Int>
  let directory: Range<Int>
  let sites: [Range<Int>]

  init(_ bytes: [UInt8]) {
    func number(_ at: Int, _ size: Int) -> Int {
      (0..<size).reduce(0) { $0 | Int(bytes[at + $1]) << (8 * $1) }
    }
    description = number(24, 8)..<number(24, 8) + number(32, 8)
    directory = number(48, 8)..<bytes.count
    sites = stride(from: directory.lowerBound, to: directory.upperBound, by: 48).map { at in
      number(at + 24, 8)..<number(at + 24, 8) + number(at + 32, 8)
    }
  }

  var ranges: [Range<Int>] { [0..<128] + sites + [description, directory] }

  /// Makes all checksums right again, for sections where they were before.
  static func seal(_ bytes: inout [UInt8]) {
    func store(_ value: UInt32, _ at: Int) {
      for i in 0..<4 { bytes[at + i] = UInt8(truncatingIfNeeded: value >> UInt32(8 * i)) }
    }
    let layout = FileSections.original(bytes)
    if let layout {
      for (index, site) in layout.sites.enumerated() where site.upperBound <= bytes.count {
        store(CRC32.checksum(Array(bytes[site])), layout.directory.lowerBound + 48 * index + 40)
      }
      store(CRC32.checksum(Array(bytes[layout.description])), 40)
      store(CRC32.checksum(Array(bytes[layout.directory])), 56)
    }
    store(CRC32.checksum(Array(bytes[0..<124])), 124)
  }

  /// Nil where the header no longer says where sections are.
  private static func original(_ bytes: [UInt8]) -> FileSections? {
    func number(_ at: Int, _ size: Int) -> UInt64 {
      (0..<size).reduce(0) { $0 | UInt64(bytes[at + $1]) << UInt64(8 * $1) }
    }
    let size = UInt64(bytes.count)
    let (description, count, directory) = (number(24, 8), number(32, 8), number(48, 8))
    guard description <= size, count <= size - description, directory <= size,
      (size - directory) % 48 == 0
    else { return nil }
    for at in stride(from: Int(directory), to: bytes.count, by: 48) {
      let (offset, length) = (number(at + 24, 8), number(at + 32, 8))
      guard offset <= size, length <= size - offset else { return nil }
    }
    return FileSections(bytes)
  }
}
