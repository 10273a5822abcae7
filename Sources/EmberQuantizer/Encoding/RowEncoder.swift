/// One row's blocks, and the weights taken out of them to stay in fp16.
///
/// An outlier is worth its bytes where the block loses much less without it: its scale no longer
/// has to reach so far. So the gain of a candidate is the fall of its block's error when it is
/// taken out and the scale searched again, and candidates are taken greedily, the best block first.
struct RowEncoder {
  let search: ScaleSearch
  /// Columns of a row.
  let columns: Int
  /// How much an error in each column matters, as whole blocks.
  let importance: [Block]

  private(set) var weights: [Block] = []
  private(set) var encoded: [EncodedBlock] = []
  /// Columns taken out, in the order of their gain, and their values.
  private(set) var outliers: [(column: Int, value: Float, gain: Float)] = []
  /// Candidates: the best next outlier of each block, once evaluated.
  private var next: [Candidate] = []

  private struct Candidate {
    var index: Int
    var encoding: EncodedBlock
    var gain: Float
  }

  init(search: ScaleSearch, columns: Int, importance: [Float]?) {
    self.search = search
    self.columns = columns
    let blockCount = (columns + 31) / 32
    self.importance = (0..<blockCount).map { block in
      guard let importance else { return .ones }
      var values = Block.zero
      for i in 0..<min(32, columns - 32 * block) { values[i] = importance[32 * block + i] }
      return values
    }
  }

  /// Σ importance · error² over the row.
  var error: Float { encoded.reduce(0) { $0 + $1.error } }

  /// Encodes a row without outliers.
  mutating func load(_ row: UnsafePointer<Float>) {
    weights.removeAll(keepingCapacity: true)
    encoded.removeAll(keepingCapacity: true)
    outliers.removeAll(keepingCapacity: true)
    next.removeAll(keepingCapacity: true)
    for block in 0..<importance.count {
      let values = Block(row + 32 * block, count: columns - 32 * block)
      weights.append(values)
      encoded.append(search.encode(values, importance: importance[block]))
    }
  }

  /// Takes out the weight whose absence gains most; returns its gain, or nil where none gains.
  mutating func takeOutlier() -> Float? {
    if next.isEmpty { next = importance.indices.map { bestCandidate(in: $0) } }
    guard let block = next.indices.max(by: { next[$0].gain < next[$1].gain }),
      next[block].gain > 0
    else { return nil }
    let candidate = next[block]
    let column = 32 * block + candidate.index
    outliers.append((column, weights[block][candidate.index], candidate.gain))
    weights[block][candidate.index] = 0
    encoded[block] = candidate.encoding
    next[block] = bestCandidate(in: block)
    return candidate.gain
  }

  /// The outlier that would help a block most: its largest weight, or the one that it now
  /// represents worst.
  private func bestCandidate(in block: Int) -> Candidate {
    let values = weights[block]
    let loss = values - encoded[block].codes * encoded[block].scale
    let largest = values.indexOfExtreme
    let worst = (loss * loss * importance[block]).indexOfMaximum
    var best = Candidate(index: largest, encoding: encoded[block], gain: 0)
    for index in largest == worst ? [largest] : [largest, worst] {
      // What fp16 cannot hold stays in the block.
      guard abs(values[index]) <= 65_504, values[index] != 0 else { continue }
      var rest = values
      rest[index] = 0
      var encoding = search.encode(rest, importance: importance[block])
      // Coded as zero: the outlier's column adds nothing to the block's error.
      encoding.codes[index] = 0
      let gain = encoded[block].error - encoding.error
      if gain > best.gain { best = Candidate(index: index, encoding: encoding, gain: gain) }
    }
    return best
  }
}
