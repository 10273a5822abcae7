import EmberKernels

/// Where a filter cuts the tokens in the order of their logits: those whose logit is above `logit`
/// stay, and of those equal to it the ones up to the place `lastTie`.
struct Cutoff: Sendable {
  var logit: Float
  var lastTie: Int
  /// The amount of all that stay.
  var amount: UInt64
}

/// Selection and drawing over unsorted tokens, without bounds checks.
///
/// Safe because every place is below the count, which is at most that of the buffers, and the
/// kernels mask every digit to the bins. Sums wrap instead of trapping: weights are at most 2³⁶ and
/// vocabularies below 2²⁷, so they only do where options that `validate` refuses have made weights
/// that are no numbers.
struct UnsafeSelection {
  /// [binCount]
  let bins: UnsafeMutablePointer<UInt64>
  /// [count] each: the tokens of a digit, with their logits and weights.
  let places: UnsafeMutablePointer<Int32>
  let logits: UnsafeMutablePointer<Float>
  let weights: UnsafeMutablePointer<Float>
  let kernels: Kernels

  /// Weights below e^−this are 0 units (with room for rounding), so such tokens can be left out.
  static let negligibleExponent = 26.0

  /// Finds where the amounts, added up from the largest logit down and among equals from the lowest
  /// id up, reach the target that `reaching` makes of their total. An amount is that of the weight
  /// in units, or 1 without weights.
  ///
  /// The range of the keys is divided into up to 2,048 digits, the tokens of the digit in which the
  /// target is reached likewise, until all have one key: after three times at most.
  ///
  /// - Parameters:
  ///   - tokenWeights: equal for equal logits.
  ///   - count: at least 1.
  func cutoff(
    _ tokenLogits: UnsafePointer<Float>, _ tokenWeights: UnsafePointer<Float>?, _ count: Int,
    reaching: (_ total: UInt64) -> UInt64
  ) -> Cutoff? {
    var (x, w, n) = (tokenLogits, tokenWeights, count)
    var (low, high) = keys(x, n)
    var target: UInt64?
    var remaining: UInt64 = 0
    while low <= high {
      let shift = max(0, 21 - (high - low).leadingZeroBitCount)
      let digits = Int((high - low) >> UInt32(shift)) + 1
      bins.update(repeating: 0, count: 4 * digits)
      kernels.table.count_keys(x, w, n, low, UInt32(shift), bins)
      if target == nil {
        var total: UInt64 = 0
        for bin in 0..<4 * digits { total &+= bins[bin] }
        remaining = max(1, min(total, reaching(total)))
        target = remaining
      }
      low += UInt32(lastDigit(of: digits, reaching: &remaining)) << UInt32(shift)
      high = min(high, low + ((1 << UInt32(shift)) - 1))
      n = kernels.table.select_keys(tokenLogits, nil, 0, count, low, high, places, logits)
      if n == 0 { return nil }
      (low, high) = keys(logits, n)
      if low == high {
        let amount = tokenWeights.map { ScalarSelection.units($0[Int(places[0])]) } ?? 1
        let before = (target ?? 0) &- remaining
        // The first ties whose amounts reach the rest: ⌈remaining / amount⌉ of them.
        let ties = amount == 0 ? n : Int(min(UInt64(n), (remaining - 1) / amount + 1))
        return Cutoff(
          logit: logits[0], lastTie: Int(places[ties - 1]),
          amount: before &+ UInt64(ties) &* amount)
      }
      if let tokenWeights {
        for m in 0..<n { weights[m] = tokenWeights[Int(places[m])] }
        w = UnsafePointer(weights)
      }
      x = UnsafePointer(logits)
    }
    return nil
  }

  /// The index of the token at `random` / 2⁶⁴ of the way through `total`, the amount of the weights.
  static func draw(
    _ random: UInt64, _ weights: UnsafePointer<Float>, _ count: Int, total: UInt64,
    kernels: Kernels
  ) -> Int? {
    let target = random.multipliedFullWidth(by: total).high
    var passed: UInt64 = 0
    for start in stride(from: 0, to: count, by: 1024) {
      let end = min(start + 1024, count)
      let next = passed &+ kernels.table.sum_units(weights + start, end - start)
      if next > target {
        for i in start..<end {
          passed &+= ScalarSelection.units(weights[i])
          if passed > target { return i }
        }
      }
      passed = next
    }
    return nil
  }

  /// The smallest and the largest key.
  private func keys(_ x: UnsafePointer<Float>, _ n: Int) -> (UInt32, UInt32) {
    var (lowest, highest): (Float, Float) = (0, 0)
    _ = kernels.table.extremes(x, n, &lowest, &highest)
    return (ScalarSelection.key(lowest), ScalarSelection.key(highest))
  }

  /// The digit in which sums from the largest digit down reach `remaining`, which becomes the rest.
  private func lastDigit(of digits: Int, reaching remaining: inout UInt64) -> Int {
    var digit = digits - 1
    while digit > 0 {
      let set = bins + 4 * digit
      let sum = (set[0] &+ set[1]) &+ (set[2] &+ set[3])
      if sum >= remaining { break }
      remaining &-= sum
      digit -= 1
    }
    return digit
  }
}
