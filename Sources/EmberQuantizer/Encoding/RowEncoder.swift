import EmberFormat
import EmberKernels

/// One row's blocks, and the weights taken out of them to stay in fp16.
///
/// An outlier is worth its bytes where the block loses much less without it: its scale no longer
/// has to reach so far. So the gain of a candidate is the fall of its block's error when it is
/// taken out and the scale searched again, and candidates are taken greedily, the best block first.
package final class RowEncoder {
  let type: BlockType
  let columns: Int
  /// Weights under one scale.
  package let width: Int
  package let blockCount: Int
  /// The row without its outliers, [blockCount][width]; zeros behind the last column.
  let weights: UnsafeMutablePointer<Float>
  /// [blockCount][width]
  package let codes: UnsafeMutablePointer<Int8>
  /// [blockCount], as the file will hold them after `finish`.
  package let scales: UnsafeMutablePointer<Float>
  /// Grouped types: the scale that the groups' are multiples of, and the multiples.
  package private(set) var rowScale: Float = 0
  package let multiples: UnsafeMutablePointer<Int8>
  /// Columns taken out, in the order of their gain, and their values.
  package private(set) var outliers: [(column: Int, value: Float)] = []

  private let encoding: any BlockEncoding
  /// How much an error in each column matters, [blockCount][width]; 0 where an outlier makes up
  /// for it.
  private let importance: UnsafeMutablePointer<Float>
  private let given: [Float]?
  /// Σ importance · error², [blockCount]
  private let errors: UnsafeMutablePointer<Float>
  /// The best next outlier of each block, once any was asked for.
  private var candidates: [Candidate] = []
  private let spare: UnsafeMutablePointer<Float>
  private let spareCodes: UnsafeMutablePointer<Int8>

  private struct Candidate {
    /// The weight's place in its block.
    var index = 0
    /// How much its block's error falls.
    var gain: Float = 0
  }

  /// - Parameter importance: of each column; nil where all are alike.
  package init(type: BlockType, columns: Int, importance given: [Float]?) {
    self.type = type
    self.columns = columns
    self.given = given
    encoding = GroupLevels.of(type) ?? (type == .q4 ? HalfScaleBlocks.q4 : .q8)
    width = encoding.width
    blockCount = (columns + width - 1) / width
    let padded = width * blockCount
    func zeros<T: Numeric>(_ count: Int) -> UnsafeMutablePointer<T> {
      let pointer = UnsafeMutablePointer<T>.allocate(capacity: count)
      pointer.initialize(repeating: 0, count: count)
      return pointer
    }
    weights = zeros(padded)
    codes = zeros(padded)
    scales = zeros(blockCount)
    multiples = zeros(blockCount)
    importance = zeros(padded)
    errors = zeros(blockCount)
    spare = zeros(2 * blockCount + 2 * width)
    spareCodes = zeros(padded)
    for column in 0..<columns { importance[column] = given?[column] ?? 1 }
  }

  deinit {
    weights.deallocate()
    codes.deallocate()
    scales.deallocate()
    multiples.deallocate()
    importance.deallocate()
    errors.deallocate()
    spare.deallocate()
    spareCodes.deallocate()
  }

  /// Σ importance · error² over the row.
  package var error: Float {
    var sum: Float = 0
    for block in 0..<blockCount { sum += errors[block] }
    return sum
  }

  /// What the block of a column holds for it; an outlier is added to that.
  package func blockValue(_ column: Int) -> Float {
    encoding.level(codes[column]) * scales[column / width]
  }

  /// The half that makes the block's value up to an outlier's.
  package func stored(_ outlier: (column: Int, value: Float)) -> UInt16 {
    // An outlier is within a half's range, but the difference may be a step beyond: q4n has no zero.
    Half.bits(min(max(outlier.value - blockValue(outlier.column), -65_504), 65_504))
  }

  /// Encodes a row without outliers.
  package func load(_ row: UnsafePointer<Float>) {
    for outlier in outliers { importance[outlier.column] = given?[outlier.column] ?? 1 }
    outliers.removeAll(keepingCapacity: true)
    candidates.removeAll(keepingCapacity: true)
    weights.update(from: row, count: columns)
    encode(0..<blockCount)
  }

  /// Encodes a row as the file will hold it, with up to `steps` outliers.
  package func encode(_ row: UnsafePointer<Float>, steps: Int) {
    load(row)
    while outliers.count < steps, takeOutlier() != nil {}
    finish()
  }

  /// Takes out the weight whose absence gains most; returns its gain, or nil where none gains
  /// more than `least`.
  package func takeOutlier(gainingAtLeast least: Float = 0) -> Float? {
    if candidates.isEmpty {
      for block in 0..<blockCount { candidates.append(bestCandidate(in: block, least)) }
    }
    guard let block = candidates.indices.max(by: { candidates[$0].gain < candidates[$1].gain }),
      candidates[block].gain > least
    else { return nil }
    let column = width * block + candidates[block].index
    outliers.append((column, weights[column]))
    weights[column] = 0
    importance[column] = 0
    encode(block..<block + 1)
    let gain = candidates[block].gain
    candidates[block] = bestCandidate(in: block, least)
    return gain
  }

  /// Makes the scales what the file can hold, once all outliers are taken: in grouped types
  /// multiples of one scale for the row, of which the neighbours are tried too.
  package func finish() {
    guard let levels = encoding as? GroupLevels else { return }
    var largest: Float = 0
    for block in 0..<blockCount { largest = max(largest, abs(scales[block])) }
    // Below that, the inverse would not be finite; such a row is as good as zero.
    rowScale = largest < 1e-28 ? 0 : largest / 127
    let (exact, tried) = (spare, spare + blockCount)
    exact.update(from: scales, count: blockCount)
    for (attempt, offset) in [Float(0), -1, 1].enumerated() {
      for block in 0..<blockCount {
        let nearest = rowScale == 0 ? 0 : (exact[block] / rowScale).rounded() + offset
        tried[block] = rowScale * min(max(nearest, -127), 127)
      }
      if attempt == 0 {
        scales.update(from: tried, count: blockCount)
        levels.round(
          weights, importance: importance, count: blockCount, scales: tried, codes: codes,
          errors: errors)
        continue
      }
      withUnsafeTemporaryAllocation(of: Float.self, capacity: blockCount) { found in
        guard let found = found.baseAddress else { return }
        levels.round(
          weights, importance: importance, count: blockCount, scales: tried, codes: spareCodes,
          errors: found)
        for block in 0..<blockCount where found[block] < errors[block] {
          errors[block] = found[block]
          scales[block] = tried[block]
          (codes + width * block).update(from: spareCodes + width * block, count: width)
        }
      }
    }
    for block in 0..<blockCount {
      multiples[block] = rowScale == 0 ? 0 : Int8((scales[block] / rowScale).rounded())
    }
  }

  /// Replaces the value of an outlier, where error feedback has changed the weight.
  func replace(outlier index: Int, by value: Float) { outliers[index].value = value }

  private func encode(_ blocks: Range<Int>) {
    let (first, start) = (blocks.lowerBound, width * blocks.lowerBound)
    encoding.encode(
      weights + start, importance: importance + start, count: blocks.count, codes: codes + start,
      scales: scales + first, errors: errors + first)
  }

  /// The outlier that would help a block most: its largest weight, or, where columns differ in
  /// importance, the one that it now represents worst. What surely gains less than `least` is not
  /// looked at: without its largest weight a block's error falls about with the square of the
  /// next one's size.
  private func bestCandidate(in block: Int, _ least: Float) -> Candidate {
    let values = weights + width * block
    var (largest, size, next): (Int, Float, Float) = (0, 0, 0)
    for i in 0..<width {
      let magnitude = abs(values[i])
      if magnitude > size {
        (largest, size, next) = (i, magnitude, size)
      } else {
        next = max(next, magnitude)
      }
    }
    if size == 0 || errors[block] <= least { return Candidate() }
    var indices = [Int]()
    if given != nil {
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
    var (worst, largest): (Int, Float) = (0, -1)
    for i in width * block..<width * (block + 1) {
      let lost = weights[i] - blockValue(i)
      let weighted = lost * lost * importance[i]
      if weighted > largest { (worst, largest) = (i - width * block, weighted) }
    }
    return worst
  }

  /// The block's error if one of its weights were an outlier.
  private func errorWithout(_ index: Int, in block: Int) -> Float {
    let (rest, counted) = (spare, spare + width)
    rest.update(from: weights + width * block, count: width)
    counted.update(from: importance + width * block, count: width)
    rest[index] = 0
    counted[index] = 0
    var scale: Float = 0
    var error: Float = 0
    encoding.encode(
      rest, importance: counted, count: 1, codes: spareCodes, scales: &scale, errors: &error)
    return error
  }
}
