/// The random numbers of sampling: SplitMix64 (Steele, Lea and Flood 2014, figure 17).
///
/// Eight bytes of state, every seed is good, and a few integer operations are the whole of it: the
/// same seed gives the same numbers on every platform, for ever. It is not for cryptography.
package struct SplitMix64: RandomNumberGenerator, Sendable {
  private var state: UInt64

  package init(seed: UInt64) { state = seed }

  /// The generator whose next number is number `index`, from 0, of the one with this seed.
  package init(seed: UInt64, skipping index: Int) {
    state = seed &+ UInt64(truncatingIfNeeded: index) &* Self.increment
  }

  private static let increment: UInt64 = 0x9E37_79B9_7F4A_7C15

  package mutating func next() -> UInt64 {
    state &+= Self.increment
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// Uniform in 0 ..< 1, a multiple of 2⁻⁵³.
  package mutating func nextUnit() -> Double { Double(next() >> 11) * 0x1p-53 }
}
