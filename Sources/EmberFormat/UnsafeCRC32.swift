/// CRC-32 as zlib, gzip and PNG compute it (polynomial 0xEDB88320, reflected), in pieces.
///
/// ```swift
/// var checksum = CRC32()
/// checksum.update(bytes)
/// checksum.value
/// ```
///
/// Slicing by 16 (Kounavis and Berry 2008): sixteen table look-ups per 16 bytes, independent of
/// each other, instead of a chain of sixteen.
package struct CRC32: Sendable {
  private var state: UInt32 = 0xFFFF_FFFF

  package init() {}

  /// The checksum of all bytes so far.
  package var value: UInt32 { ~state }

  package static func checksum(_ bytes: [UInt8]) -> UInt32 {
    var checksum = CRC32()
    bytes.withUnsafeBytes { checksum.update($0) }
    return checksum.value
  }

  package mutating func update(_ bytes: UnsafeRawBufferPointer) {
    state = Self.tables.withUnsafeBufferPointer { tables in
      Self.advance(state, over: bytes, tables)
    }
  }

  /// tables[256 · k + b]: the CRC of byte b followed by k zero bytes.
  private static let tables: [UInt32] = {
    var tables = [UInt32](repeating: 0, count: 16 * 256)
    for byte in 0..<256 {
      var crc = UInt32(byte)
      for _ in 0..<8 {
        crc = (crc >> 1) ^ (crc & 1 == 1 ? 0xEDB8_8320 : 0)
      }
      tables[byte] = crc
    }
    for index in 256..<(16 * 256) {
      let previous = tables[index - 256]
      tables[index] = (previous >> 8) ^ tables[Int(previous & 0xFF)]
    }
    return tables
  }()

  private static func advance(
    _ state: UInt32, over bytes: UnsafeRawBufferPointer, _ tables: UnsafeBufferPointer<UInt32>
  ) -> UInt32 {
    /// The contribution of 4 bytes that stand `distance` bytes before the end of the 16.
    /// In bounds: distance ≤ 12, so the largest index is 256 · 15 + 255 = 16 · 256 − 1.
    @inline(__always)
    func contribution(_ word: UInt32, _ distance: Int) -> UInt32 {
      tables[256 * (distance + 3) + Int(word & 0xFF)]
        ^ tables[256 * (distance + 2) + Int((word >> 8) & 0xFF)]
        ^ tables[256 * (distance + 1) + Int((word >> 16) & 0xFF)]
        ^ tables[256 * distance + Int(word >> 24)]
    }
    var crc = state
    var offset = 0
    // All loads lie inside `bytes`: offset + 16 ≤ count.
    while bytes.count - offset >= 16 {
      let low = UInt64(
        littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
      let high = UInt64(
        littleEndian: bytes.loadUnaligned(fromByteOffset: offset + 8, as: UInt64.self))
      crc =
        contribution(UInt32(truncatingIfNeeded: low) ^ crc, 12)
        ^ contribution(UInt32(truncatingIfNeeded: low >> 32), 8)
        ^ contribution(UInt32(truncatingIfNeeded: high), 4)
        ^ contribution(UInt32(truncatingIfNeeded: high >> 32), 0)
      offset += 16
    }
    while offset < bytes.count {
      crc = (crc >> 8) ^ tables[Int((crc ^ UInt32(bytes[offset])) & 0xFF)]
      offset += 1
    }
    return crc
  }
}
