/// Where a filter cuts the tokens in the order of their logits: those whose key is above
/// `key` stay, and of those equal to it the ones up to the place `lastTie`.
struct Cutoff: Sendable {
  var key: UInt32
  var lastTie: Int
  /// The amount of all that stay, where the filter has counted it.
  var amount: UInt64?

  /// Keeps everything.
  static let none = Cutoff(key: 0, lastTie: .max)

  /// 1 where the token at `index` stays, else 0. Not a Bool: the loops that ask are fast only
  /// without a branch.
  @inline(__always)
  func keeps(_ tokenKey: UInt32, at index: Int) -> UInt64 {
    let cut = UInt64(key) &+ (index <= lastTie ? 0 : 1)
    return (UInt64(tokenKey) &- cut) >> 63 ^ 1
  }
}

/// Selection and drawing over unsorted tokens, without bounds checks.
///
/// Safe because every index is below the count, which is that of the buffers, and every digit is
/// masked to the bins. Sums wrap instead of trapping: weights are at most 2³⁶ and vocabularies below
/// 2²⁷, so they only do where options that `validate` refuses have made weights that are no numbers.
enum UnsafeSelection {
  private static let digits = 1 << 11
  /// Neighbours count in four sets, so that an addition need not wait for the one before.
  static let binCount = 4 * digits

  /// A weight of 0 ... 1 in units of 2⁻³⁶, to the nearest: integers, whose sums do not depend on
  /// their order. Over 150,000 tokens the rounding comes to 10⁻⁶ of the largest weight at most.
  @inline(__always)
  static func amount(_ weight: Float) -> UInt64 {
    // From 2¹⁶ to 2¹⁷ the last bit of a double is 2⁻³⁶, so the sum's bits count units.
    let magic = 0x1.8p16
    return (Double(weight) + magic).bitPattern &- magic.bitPattern
  }

  /// Weights below e^−this are 0 units (with room for rounding), so such tokens can be left out.
  static let negligibleExponent = 26.0

  /// Larger for larger logits; the same for zeros of either sign.
  @inline(__always)
  static func key(_ logit: Float) -> UInt32 {
    // Adding 0 makes −0 a 0.
    let bits = Int32(bitPattern: (logit + 0).bitPattern)
    return UInt32(bitPattern: bits ^ (bits >> 31 | .min))
  }

  /// Finds where the amounts, added up from the largest logit down and among equals from the lowest
  /// id up, reach the target that `reaching` makes of their total.
  ///
  /// Three passes over digits of 11, 11 and 10 bits of the key, from the top: the digit in which the
  /// target is reached is that of the last key to keep. The second and third pass see only the
  /// tokens of the first's digit; `members` has room for `count`.
  @inline(__always)
  static func cutoff(
    _ logits: UnsafeBufferPointer<Float>, _ count: Int, bins: UnsafeMutableBufferPointer<UInt64>,
    members: UnsafeMutableBufferPointer<Int32>, amount: (Int) -> UInt64,
    reaching: (_ total: UInt64) -> UInt64
  ) -> Cutoff {
    bins.update(repeating: 0)
    for i in 0..<count {
      bins[4 &* Int(key(logits[i]) >> 21) &+ i & 3] &+= amount(i)
    }
    var total: UInt64 = 0
    for bin in 0..<binCount { total &+= bins[bin] }
    let target = max(1, min(total, reaching(total)))
    var remaining = target
    var prefix = UInt32(lastDigit(bins, &remaining)) << 21

    var memberCount = 0
    for i in 0..<count {
      members[memberCount] = Int32(truncatingIfNeeded: i)
      let difference = UInt64((key(logits[i]) ^ prefix) >> 21)
      memberCount &+= Int((difference &- 1) >> 63)
    }
    bins.update(repeating: 0)
    for m in 0..<memberCount {
      let i = Int(members[m])
      bins[4 &* (Int(key(logits[i]) >> 10) & (digits - 1)) &+ m & 3] &+= amount(i)
    }
    prefix |= UInt32(lastDigit(bins, &remaining)) << 10

    bins.update(repeating: 0)
    for m in 0..<memberCount {
      let i = Int(members[m])
      let key = key(logits[i])
      if key >> 10 == prefix >> 10 { bins[4 &* (Int(key) & 1023) &+ m & 3] &+= amount(i) }
    }
    prefix |= UInt32(lastDigit(bins, &remaining))

    var kept = target &- remaining
    var lastTie = -1
    for m in 0..<memberCount {
      let i = Int(members[m])
      if key(logits[i]) != prefix { continue }
      kept &+= amount(i)
      lastTie = i
      if kept >= target { break }
    }
    return Cutoff(key: prefix, lastTie: lastTie, amount: kept)
  }

  /// The index of the token at `random` / 2⁶⁴ of the way through the amounts that the cutoff keeps.
  static func draw(
    _ random: UInt64, _ logits: UnsafeBufferPointer<Float>, _ weights: UnsafeBufferPointer<Float>,
    _ count: Int, _ cutoff: Cutoff
  ) -> Int? {
    let total = cutoff.amount ?? sum(0..<count, logits, weights, cutoff)
    let target = random.multipliedFullWidth(by: total).high
    var passed: UInt64 = 0
    for start in stride(from: 0, to: count, by: 1024) {
      let block = start..<min(start + 1024, count)
      let next = passed &+ sum(block, logits, weights, cutoff)
      if next > target {
        for i in block {
          passed &+= cutoff.keeps(key(logits[i]), at: i) &* amount(weights[i])
          if passed > target { return i }
        }
      }
      passed = next
    }
    return nil
  }

  private static func sum(
    _ range: Range<Int>, _ logits: UnsafeBufferPointer<Float>,
    _ weights: UnsafeBufferPointer<Float>, _ cutoff: Cutoff
  ) -> UInt64 {
    var sum: UInt64 = 0
    if cutoff.amount == nil {
      for i in range { sum &+= amount(weights[i]) }
      return sum
    }
    for i in range {
      sum &+= (0 &- cutoff.keeps(key(logits[i]), at: i)) & amount(weights[i])
    }
    return sum
  }

  /// The digit in which sums from the largest digit down reach `remaining`, which becomes the rest.
  private static func lastDigit(
    _ bins: UnsafeMutableBufferPointer<UInt64>, _ remaining: inout UInt64
  ) -> Int {
    var bin = digits - 1
    while bin > 0 {
      let set = 4 &* bin
      let sum = (bins[set] &+ bins[set + 1]) &+ (bins[set + 2] &+ bins[set + 3])
      if sum >= remaining { break }
      remaining &-= sum
      bin -= 1
    }
    return bin
  }
}
