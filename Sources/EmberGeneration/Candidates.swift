/// The tokens that may still be drawn, in the order of their ids.
///
/// Nothing is ever sorted: filters find the last key that is kept by counting digits (a radix
/// selection, O(n) whatever the logits) and drop the keys below it. The buffers are allocated once
/// per vocabulary size.
struct Candidates: Sendable {
  private(set) var count = 0
  /// [vocabularySize] each, `count` in use
  private var ids: [Int32] = []
  private var logits: [Float] = []
  private var weights: [Double] = []
  /// Sums of weights, and numbers of candidates, by one digit of the key.
  private var binWeights = [Double](repeating: 0, count: binCount)
  private var binCounts = [Int](repeating: 0, count: binCount)

  private static let digitBits = 11
  private static let binCount = 1 << digitBits

  /// Takes the tokens whose logits are above `floor`, the `limit` largest of them at most.
  mutating func gather(_ source: UnsafeMutableBufferPointer<Float>, above floor: Float, limit: Int)
  {
    if ids.count < source.count {
      ids = [Int32](repeating: 0, count: source.count)
      logits = [Float](repeating: 0, count: source.count)
      weights = [Double](repeating: 0, count: source.count)
    }
    count = 0
    var floor = floor
    // Selecting halves the buffer each time it is full, so that a token costs O(1) on average.
    let capacity = limit < source.count / 2 ? min(source.count, max(2 * limit, 1024)) : .max
    for id in source.indices {
      let logit = source[id]
      if logit > floor {
        ids[count] = Int32(truncatingIfNeeded: id)
        logits[count] = logit
        count += 1
        if count == capacity {
          keepLargest(limit)
          // A later token of the same logit has a higher id, so it loses.
          floor = logits[..<count].min() ?? floor
        }
      }
    }
    keepLargest(limit)
  }

  /// weight = e^((logit − maximum) · scale)
  mutating func weigh(maximum: Float, scale: Double) {
    let count = count
    logits.withUnsafeBufferPointer { logits in
      weights.withUnsafeMutableBufferPointer { weights in
        guard let output = weights.baseAddress else { return }
        UnsafeExponential.exponentials(
          UnsafeBufferPointer(rebasing: logits[..<count]), minus: maximum, scale: scale,
          into: output)
      }
    }
  }

  /// Drops the candidates whose weight is below `minimum`.
  mutating func keepWeights(from minimum: Double) {
    keep { _, weight in weight >= minimum }
  }

  /// Keeps the candidates of the largest logits, lower ids first among equals.
  private mutating func keepLargest(_ limit: Int) {
    if count <= limit { return }
    keepLargest(reaching: Double(limit)) { _ in 1 }
  }

  /// Keeps the smallest set of candidates of the largest logits whose weights come to `share` of all.
  mutating func keepHeaviest(share: Double) {
    keepLargest(reaching: share * totalWeight) { weight in weight }
  }

  /// The candidate at `unit` (0 ..< 1) of the way through the weights, in the order of the ids.
  func draw(_ unit: Double) -> Int32? {
    let target = unit * totalWeight
    var sum = 0.0
    for i in 0..<count {
      sum += weights[i]
      if sum > target { return ids[i] }
    }
    return nil
  }

  private var totalWeight: Double {
    var sum = 0.0
    for i in 0..<count { sum += weights[i] }
    return sum
  }

  /// Keeps candidates from the largest key down until their weights reach `target`. Digit by digit
  /// from the top: the digit in which the target is reached is that of the last key to keep.
  private mutating func keepLargest(reaching target: Double, weight: (Double) -> Double) {
    var prefix: UInt64 = 0
    var remaining = target
    var low = 64
    while low > 0 {
      let high = low
      low = max(0, low - Self.digitBits)
      let largestDigit = (1 << (high - low)) - 1
      for bin in 0..<Self.binCount {
        binWeights[bin] = 0
        binCounts[bin] = 0
      }
      for i in 0..<count {
        let key = Self.key(logits[i], ids[i])
        // A shift by 64 is 0 in Swift, so that all keys have the empty prefix.
        if key >> UInt64(high) == prefix >> UInt64(high) {
          let bin = Int(key >> UInt64(low)) & largestDigit
          binWeights[bin] += weight(weights[i])
          binCounts[bin] += 1
        }
      }
      var bin = largestDigit
      // Rounding may leave a rest that no bin covers: then everything is kept, down to digit 0.
      while bin > 0, binWeights[bin] < remaining {
        remaining -= binWeights[bin]
        bin -= 1
      }
      prefix |= UInt64(bin) << UInt64(low)
      // Nothing else shares the digits so far: the key with zeros behind them is a bound as good.
      if binCounts[bin] <= 1 { break }
    }
    keep { key, _ in key >= prefix }
  }

  private mutating func keep(_ condition: (_ key: UInt64, _ weight: Double) -> Bool) {
    var kept = 0
    for i in 0..<count where condition(Self.key(logits[i], ids[i]), weights[i]) {
      ids[kept] = ids[i]
      logits[kept] = logits[i]
      weights[kept] = weights[i]
      kept += 1
    }
    count = kept
  }

  /// Larger for larger logits and, among equals, for lower ids; no two are the same.
  private static func key(_ logit: Float, _ id: Int32) -> UInt64 {
    // Adding 0 makes −0 a 0.
    let bits = (logit + 0).bitPattern
    let ordered = bits >> 31 == 1 ? ~bits : bits | 1 << 31
    return UInt64(ordered) << 32 | UInt64(~UInt32(bitPattern: id))
  }
}
