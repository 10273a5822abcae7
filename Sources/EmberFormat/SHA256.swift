/// SHA-256 (FIPS 180-4), to name the text that a perplexity or a calibration belongs to.
///
/// It is written here because the package that holds it for Swift brings a C library whose build
/// takes longer than all of Ember's. It identifies texts; nothing secret depends on it.
package enum SHA256 {
  /// The first 32 bits of the fractional parts of the square roots of the first eight primes.
  private static let initialState = primes.prefix(8).map { fraction(Double($0).squareRoot()) }
  /// The same of the cube roots of the first sixty-four.
  private static let constants = primes.prefix(64).map { fraction(cubeRoot(Double($0))) }

  /// The digest of a text's UTF-8, 64 hexadecimal digits.
  package static func hexadecimal(of text: String) -> String { hexadecimal(of: text.utf8) }

  /// The digest of a message, 64 hexadecimal digits.
  package static func hexadecimal(of message: some Sequence<UInt8>) -> String {
    var state = initialState
    var block: [UInt8] = []
    var byteCount: UInt64 = 0
    for byte in message {
      block.append(byte)
      byteCount += 1
      if block.count == 64 {
        mix(block, into: &state)
        block.removeAll(keepingCapacity: true)
      }
    }
    // A one bit, zeros, and the length in bits, up to a whole block.
    block.append(0x80)
    while block.count % 64 != 56 { block.append(0) }
    for shift in stride(from: UInt64(56), through: 0, by: -8) {
      block.append(UInt8(truncatingIfNeeded: (byteCount &* 8) >> shift))
    }
    for start in stride(from: 0, to: block.count, by: 64) {
      mix(Array(block[start..<start + 64]), into: &state)
    }
    return state.map { word in
      let digits = String(word, radix: 16)
      return String(repeating: "0", count: 8 - digits.count) + digits
    }.joined()
  }

  /// Takes in a block of 64 bytes (section 6.2.2).
  private static func mix(_ block: [UInt8], into state: inout [UInt32]) {
    func rotate(_ word: UInt32, _ count: UInt32) -> UInt32 {
      word >> count | word << (32 - count)
    }
    withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 64) { schedule in
      for i in 0..<16 {
        schedule[i] = block[4 * i..<4 * i + 4].reduce(0) { $0 << 8 | UInt32($1) }
      }
      for i in 16..<64 {
        let (early, late) = (schedule[i - 15], schedule[i - 2])
        let sigma0 = rotate(early, 7) ^ rotate(early, 18) ^ early >> 3
        let sigma1 = rotate(late, 17) ^ rotate(late, 19) ^ late >> 10
        schedule[i] = schedule[i - 16] &+ sigma0 &+ schedule[i - 7] &+ sigma1
      }
      var (a, b, c, d) = (state[0], state[1], state[2], state[3])
      var (e, f, g, h) = (state[4], state[5], state[6], state[7])
      for i in 0..<64 {
        let sigma1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)
        let first = h &+ sigma1 &+ (e & f ^ ~e & g) &+ constants[i] &+ schedule[i]
        let sigma0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)
        let second = sigma0 &+ (a & b ^ a & c ^ b & c)
        (h, g, f, e) = (g, f, e, d &+ first)
        (d, c, b, a) = (c, b, a, first &+ second)
      }
      for (i, word) in [a, b, c, d, e, f, g, h].enumerated() { state[i] = state[i] &+ word }
    }
  }

  private static let primes = (2...311).filter { candidate in
    !(2..<candidate).contains { candidate % $0 == 0 }
  }

  private static func fraction(_ value: Double) -> UInt32 {
    UInt32((value - value.rounded(.down)) * 4_294_967_296)
  }

  /// By Newton's method, whose result is within a double's precision: more than 32 fraction bits.
  private static func cubeRoot(_ value: Double) -> Double {
    var root = 1.0
    for _ in 0..<60 { root -= (root * root * root - value) / (3 * root * root) }
    return root
  }
}
