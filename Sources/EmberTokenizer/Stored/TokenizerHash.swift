/// The hash functions and limits of the stored tables (formats/tokenizer.md).
enum TokenizerHash {
  /// The writer doubles a table until every entry lies this close to its first slot, and a lookup
  /// gives up after so many: a hostile table costs no more than a real one.
  static let maximumProbes = 64

  /// FNV-1a, folded: words are short, and it needs no table and no alignment.
  @inline(__always)
  static func piece(_ bytes: UnsafeBufferPointer<UInt8>) -> UInt32 {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    // Wrapping is the function's definition.
    for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
    return UInt32(truncatingIfNeeded: hash ^ (hash >> 32))
  }

  /// Multiplicative hashing of the pair; the high half has the mixed bits.
  @inline(__always)
  static func merge(_ left: UInt32, _ right: UInt32) -> UInt32 {
    var hash = (UInt64(left) << 32 | UInt64(right)) &* 0x9e37_79b9_7f4a_7c15
    hash ^= hash >> 32
    hash = hash &* 0xd6e8_feb8_6659_fd93
    return UInt32(truncatingIfNeeded: hash >> 32)
  }
}
