import EmberKernels

/// One row's blocks, and the weights taken out of them to stay in fp16.
///
/// An outlier is worth its bytes where the block loses much less without it: its scale no longer
/// has to reach so far. So the gain of a candidate is the fall of its block's error when it is
/// taken out and the scale searched again, and candidates are taken greedily, the best block first.
final class RowEncoder {
  let columns: Int
  let blockCount: Int
  /// The row without its outliers, [blockCount][32]; zeros behind the last column.
  let weights: UnsafeMutablePointer<Float>
  /// [blockCount][32]
  let codes: UnsafeMutablePointer<Int8>
  /// Halves, [blockCount]
  let scales: UnsafeMutablePointer<UInt16>
  /// Columns taken out, in the order of their gain, and their values.
  private(set) var outliers: [(column: Int, value: Float)] = []

  private let search: ScaleSearch
  /// How much an error in each column matters, [blockCount][32].
  private let importance: UnsafeMutablePointer<Float>
  /// Whether columns differ in importance.
  private let differs: Bool
  /// Σ importance · error², [blockCount]
  private let errors: UnsafeMutablePointer<Float>
  /// The best next outlier of each block, once any was asked for.
  private var candidates: [Candidate] = []

  private struct Candidate {
    /// The weight's place in its block.
    var index = 0
    /// How much its block's error falls.
    var gain: Float = 0
  }

  init(search: ScaleSearch, columns: Int, importance given: [Float]?) {
    self.search = search
    self.columns = columns
    differs = given != nil
    blockCount = (columns + 31) / 32
    weights = .allocate(capacity: 32 * blockCount)
    codes = .allocate(capacity: 32 * blockCount)
    scales = .allocate(capacity: blockCount)
    importance = .allocate(capacity: 32 * blockCount)
    errors = .allocate(capacity: blockCount)
    weights.initialize(repeating: 0, count: 32 * blockCount)
    codes.initialize(repeating: 0, count: 32 * blockCount)
    scales.initialize(repeating: 0, count: blockCount)
    importance.initialize(repeating: 0, count: 32 * blockCount)
    errors.initialize(repeating: 0, count: blockCount)
    for column in 0..<columns { importance[column] = given?[column] ?? 1 }
  }

  deinit {
    weights.deallocate()
    codes.deallocate()
    scales.deallocate()
    importance.deallocate()
    errors.deallocate()
  }

  /// Σ importance · error² over the row.
  var error: Float {
    var sum: Float = 0
    for block in 0..<blockCount { sum += errors[block] }
    return sum
  }

  /// The scale of a block as the file holds it.
  func scale(_ block: Int) -> Float { Half.value(scales[block]) }

  /// Encodes a row without outliers.
  func load(_ row: UnsafePointer<Float>) {
    outliers.removeAll(keepingCapacity: true)
    candidates.removeAll(keepingCapacity: true)
    weights.update(from: row, count: columns)
    search.encode(
      weights, importance: importance, count: blockCount, codes: codes, scales: scales,
      errors: errors)
  }

  /// Takes out the weight whose absence gains most; returns its gain, or nil where none gains
  /// more than `least`.
  func takeOutlier(gainingAtLeast least: Float = 0) -> Float? {
    if candidates.isEmpty {
      for block in 0..<blockCount { candidates.append(bestCandidate(in: block, least)) }
    }
    guard let block = candidates.indices.max(by: { candidates[$0].gain < candidates[$1].gain }),
      candidates[block].gain > least
    else { return nil }
    let column = 32 * block + candidates[block].index
    outliers.append((column, weights[column]))
    weights[column] = 0
    encode(block)
    let gain = candidates[block].gain
    candidates[block] = bestCandidate(in: block, least)
    return gain
  }

  private func encode(_ block: Int) {
    search.encode(
      weights + 32 * block, importance: importance + 32 * block, count: 1,
      codes: codes + 32 * block, scales: scales + block, errors: errors + block)
  }

  /// The outlier that would help a block most: its largest weight, or, where columns differ in
  /// importance, the one that it now represents worst. What surely gains less than `least` is not
  /// looked at: without its largest weight a block's error falls about with the square of the
  /// next one's size.
  private func bestCandidate(in block: Int, _ least: Float) -> Candidate {
    let values = weights + 32 * block
    var (largest, size, next): (Int, Float, Float) = (0, 0, 0)
    for i in 0..<32 {
      let magnitude = abs(values[i])
      if magnitude > size {
        (largest, size, next) = (i, magnitude, size)
      } else {
        next = max(next, magnitude)
      }
    }
    if size == 0 { return Candidate() }
    var indices = [Int]()
    if differs {
      indices = [largest, worst(in: block)]
    } else {
      let ratio = next / size
      if errors[block] * (1 - 0.75 * ratio * ratio) > least { indices = [largest] }
    }
    var best = Candidate()
    // What fp16 cannot hold stays in the block: beyond its largest number, or rounded to zero.
    for index in indices
    where abs(values[index]) <= 65_504 && Half.bits(values[index]) & 0x7FFF != 0 {
      let gain = errors[block] - errorWithout(index, in: block)
      if gain > best.gain { best = Candidate(index: index, gain: gain) }
    }
    return best
  }

  /// The weight whose weighted error is largest.
  private func worst(in block: Int) -> Int {
    let scale = scale(block)
    var (worst, largest): (Int, Float) = (0, -1)
    for i in 32 * block..<32 * block + 32 {
      let lost = weights[i] - Float(codes[i]) * scale
      let weighted = lost * lost * importance[i]
      if weighted > largest { (worst, largest) = (i - 32 * block, weighted) }
    }
    return worst
  }

  /// The block's error if one of its weights were zero.
  private func errorWithout(_ index: Int, in block: Int) -> Float {
    withUnsafeTemporaryAllocation(of: Float.self, capacity: 33) { rest in
      withUnsafeTemporaryAllocation(of: Int8.self, capacity: 32) { codes in
        guard let rest = rest.baseAddress, let codes = codes.baseAddress else { return 0 }
        rest.update(from: weights + 32 * block, count: 32)
        rest[index] = 0
        var scale: UInt16 = 0
        search.encode(
          rest, importance: importance + 32 * block, count: 1, codes: codes, scales: &scale,
          errors: rest + 32)
        return rest[32]
      }
    }
  }
}
