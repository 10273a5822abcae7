/// SHA-256 (FIPS 180-4), for comparing long id lists with a published hash; not for speed.
enum SHA256 {
  static func hexadecimal(of message: [UInt8]) -> String {
    let primes = (2...311).filter { candidate in
      !(2..<candidate).contains { candidate % $0 == 0 }
    }
    func fraction(_ value: Double) -> UInt32 {
      UInt32((value - value.rounded(.down)) * 4_294_967_296)
    }
    // Cube roots to 32 fractional bits are within a Double's precision after one Newton step.
    func cubeRoot(_ value: Double) -> Double {
      var root = 1.0
      for _ in 0..<60 { root -= (root * root * root - value) / (3 * root * root) }
      return root
    }
    let constants = primes.prefix(64).map { fraction(cubeRoot(Double($0))) }
    var state = primes.prefix(8).map { fraction(Double($0).squareRoot()) }

    var padded = message + [0x80]
    while padded.count % 64 != 56 { padded.append(0) }
    let bitCount = UInt64(message.count) * 8
    padded += (0..<8).map { UInt8(truncatingIfNeeded: bitCount >> (56 - 8 * UInt64($0))) }

    func rotate(_ word: UInt32, _ count: UInt32) -> UInt32 {
      word >> count | word << (32 - count)
    }
    var schedule = [UInt32](repeating: 0, count: 64)
    for start in stride(from: 0, to: padded.count, by: 64) {
      for index in 0..<16 {
        let at = start + 4 * index
        schedule[index] =
          UInt32(padded[at]) << 24 | UInt32(padded[at + 1]) << 16 | UInt32(padded[at + 2]) << 8
          | UInt32(padded[at + 3])
      }
      for index in 16..<64 {
        let early = schedule[index - 15]
        let late = schedule[index - 2]
        let sigma0 = rotate(early, 7) ^ rotate(early, 18) ^ early >> 3
        let sigma1 = rotate(late, 17) ^ rotate(late, 19) ^ late >> 10
        schedule[index] = schedule[index - 16] &+ sigma0 &+ schedule[index - 7] &+ sigma1
      }
      var work = state
      for index in 0..<64 {
        let sigma1 = rotate(work[4], 6) ^ rotate(work[4], 11) ^ rotate(work[4], 25)
        let choice = work[4] & work[5] ^ ~work[4] & work[6]
        let first = work[7] &+ sigma1 &+ choice &+ constants[index] &+ schedule[index]
        let sigma0 = rotate(work[0], 2) ^ rotate(work[0], 13) ^ rotate(work[0], 22)
        let majority = work[0] & work[1] ^ work[0] & work[2] ^ work[1] & work[2]
        work = [first &+ sigma0 &+ majority] + work[0..<7]
        work[4] = work[4] &+ first
      }
      for index in 0..<8 { state[index] = state[index] &+ work[index] }
    }
    return state.map { word in
      let digits = String(word, radix: 16)
      return String(repeating: "0", count: 8 - digits.count) + digits
    }.joined()
  }
}
