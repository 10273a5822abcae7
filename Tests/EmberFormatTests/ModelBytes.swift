import EmberFormat

/// The bytes of a model file under attack: fields by offset, as `formats/model-file.md` gives
/// them, and the checksums made right again so that the deeper checks are reached.
struct ModelBytes {
  var bytes: [UInt8]

  enum Section: Int, CaseIterable {
    case extents = 64
    case directory = 96
    case metadata = 128
    case tokenizer = 160
  }

  func u32(_ offset: Int) -> UInt32 { UInt32(truncatingIfNeeded: field(offset, 4)) }
  func u64(_ offset: Int) -> UInt64 { field(offset, 8) }

  private func field(_ offset: Int, _ width: Int) -> UInt64 {
    (0..<width).reduce(0) { $0 | UInt64(bytes[offset + $1]) << UInt64(8 * $1) }
  }

  mutating func set(_ value: UInt64, at offset: Int, width: Int = 8) {
    for index in 0..<width {
      bytes[offset + index] = UInt8(truncatingIfNeeded: value >> UInt64(8 * index))
    }
  }

  func offset(of section: Section) -> Int { Int(u64(section.rawValue)) }
  func size(of section: Section) -> Int { Int(u64(section.rawValue + 8)) }

  /// First byte of a record of the tensor directory.
  func record(_ index: Int) -> Int { offset(of: .directory) + 192 * index }
  /// First byte of a record of the extent table.
  func extent(_ index: Int) -> Int { offset(of: .extents) + 16 * index }

  mutating func fixHeaderChecksum() {
    set(UInt64(CRC32.checksum(Array(bytes[0..<252]))), at: 252, width: 4)
  }

  /// All checksums of sections that lie inside the file, then the header's.
  mutating func fixChecksums() {
    for section in Section.allCases {
      let (start, size) = (u64(section.rawValue), u64(section.rawValue + 8))
      guard start <= bytes.count, size <= UInt64(bytes.count) - start else { continue }
      let stored = Array(bytes[Int(start)..<Int(start + size)])
      set(UInt64(CRC32.checksum(stored)), at: section.rawValue + 28, width: 4)
    }
    fixHeaderChecksum()
  }

  /// The checksum of a tensor after its bytes changed.
  mutating func fixTensorChecksum(_ index: Int) {
    let start = Int(u64(record(index) + 120))
    let count = Int(u64(record(index) + 128))
    let checksum = CRC32.checksum(Array(bytes[start..<(start + count)]))
    set(UInt64(checksum), at: record(index) + 164, width: 4)
    fixChecksums()
  }
}
