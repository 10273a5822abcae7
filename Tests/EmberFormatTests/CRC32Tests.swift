import EmberFormat
import Testing

@Suite struct CRC32Tests {
  @Test(arguments: [
    ("", 0 as UInt32), ("a", 0xE8B7_BE43), ("123456789", 0xCBF4_3926),
    ("The quick brown fox jumps over the lazy dog", 0x414F_A339),
  ])
  func knownVectors(_ text: String, _ expected: UInt32) {
    #expect(CRC32.checksum(Array(text.utf8)) == expected)
  }

  /// Values of zlib.crc32 for bytes(range(256)) * 4 cut to the length.
  @Test func longVectors() {
    let bytes = (0..<1024).map { UInt8($0 % 256) }
    #expect(CRC32.checksum(Array(bytes.prefix(256))) == 0x2905_8C73)
    #expect(CRC32.checksum([UInt8](repeating: 0, count: 32)) == 0x190A_55AD)
    #expect(CRC32.checksum([UInt8](repeating: 255, count: 32)) == 0xFF6C_AB0B)
  }

  /// Against the definition, bit by bit, over all lengths and starts around the block of 16.
  @Test func equalsTheDefinition() {
    let bytes = (0..<200).map { UInt8(truncatingIfNeeded: $0 &* 167 &+ 13) }
    for start in 0..<18 {
      for end in start..<min(start + 70, bytes.count) {
        let part = Array(bytes[start..<end])
        #expect(CRC32.checksum(part) == reference(part))
      }
    }
  }

  @Test func piecesEqualTheWhole() {
    let bytes = (0..<200).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    for cut in 0...bytes.count {
      var checksum = CRC32()
      bytes.withUnsafeBytes { buffer in
        checksum.update(UnsafeRawBufferPointer(rebasing: buffer[..<cut]))
        checksum.update(UnsafeRawBufferPointer(rebasing: buffer[cut...]))
      }
      #expect(checksum.value == CRC32.checksum(bytes))
    }
  }

  private func reference(_ bytes: [UInt8]) -> UInt32 {
    var crc: UInt32 = .max
    for byte in bytes {
      crc ^= UInt32(byte)
      for _ in 0..<8 { crc = crc & 1 == 1 ? (crc >> 1) ^ 0xEDB8_8320 : crc >> 1 }
    }
    return ~crc
  }
}
