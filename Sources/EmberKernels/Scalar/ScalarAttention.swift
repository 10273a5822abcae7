import CKernels

/// Attention with the online softmax, one score at a time.
enum ScalarAttention {
  /// How one kind of key/value cache is read.
  struct CacheReader: Sendable {
    let score: Score
    let adding: Adding

    typealias Score = @Sendable (ember_attention, _ query: Int, _ position: Int) -> Float
    /// sum + weight · value[position][d]
    typealias Adding =
      @Sendable (ember_attention, _ position: Int, _ d: Int, _ weight: Float, _ sum: Float) -> Float
  }

  static let halves = CacheReader(score: halfScore, adding: addingHalf)
  static let q8 = CacheReader(score: score(code: q8Key), adding: adding(code: q8Value))
  static let q8q4 = CacheReader(score: score(code: q8Key), adding: adding(code: q4Value))
  static let q4 = CacheReader(score: score(code: q4Key), adding: adding(code: q4Value))

  private static let halfScore: CacheReader.Score = { a, query, position in
    let keys = a.keys.assumingMemoryBound(to: UInt16.self)
    let group = keys + position / 16 * 16 * a.dimension + position % 16
    let values = a.queries + query / a.heads * a.query_stride + query % a.heads * a.dimension
    var sum: Float = 0
    for d in 0..<a.dimension { sum = ScalarMath.fma(Half.value(group[16 * d]), values[d], sum) }
    return sum
  }

  private static let addingHalf: CacheReader.Adding = { a, position, d, weight, sum in
    let values = a.values.assumingMemoryBound(to: UInt16.self)
    return ScalarMath.fma(Half.value(values[position * a.padded_dimension + d]), weight, sum)
  }

  /// A code of a key: `group` counts blocks of sixteen positions, `i` dimensions in a block.
  private typealias KeyCode =
    @Sendable (_ keys: UnsafePointer<UInt8>, _ group: Int, _ position: Int, _ i: Int) -> Int32
  private typealias ValueCode = @Sendable (ember_attention, _ position: Int, _ d: Int) -> Int8

  private static let q8Key: KeyCode = { keys, group, position, i in
    Int32(keys[512 * group + 64 * (i / 4) + 4 * (position % 16) + i % 4]) - 128
  }

  private static let q4Key: KeyCode = { keys, group, position, i in
    let pair = keys[256 * group + 64 * (i % 16 / 4) + 4 * (position % 16) + i % 4]
    return Int32(i < 16 ? pair & 15 : pair >> 4) - 8
  }

  private static let q8Value: ValueCode = { a, position, d in
    a.values.assumingMemoryBound(to: Int8.self)[position * a.padded_dimension + d]
  }

  private static let q4Value: ValueCode = { a, position, d in
    let pairs = a.values.assumingMemoryBound(to: UInt8.self)
    let pair = pairs[16 * (position * ((a.dimension + 31) / 32) + d / 32) + d % 16]
    return Int8(d % 32 < 16 ? pair & 15 : pair >> 4) - 8
  }

  private static func score(code: @escaping KeyCode) -> CacheReader.Score {
    { a, query, position in
      let blocks = (a.dimension + 31) / 32
      let first = query / a.heads * a.query_blocks + query % a.heads * blocks
      let keys = a.keys.assumingMemoryBound(to: UInt8.self)
      var sum: Float = 0
      for block in 0..<blocks {
        let group = position / 16 * blocks + block
        var dot: Int32 = 0
        for i in 0..<32 {
          dot += code(keys, group, position, i) * Int32(a.query_codes[32 * (first + block) + i])
        }
        let scale = Half.value(a.key_scales[16 * group + position % 16])
        sum = ScalarMath.fma(Float(dot), scale * a.query_scales[first + block], sum)
      }
      return sum
    }
  }

  private static func adding(code: @escaping ValueCode) -> CacheReader.Adding {
    { a, position, d, weight, sum in
      let group = position / 16 * ((a.dimension + 31) / 32) + d / 32
      let scale = Half.value(a.value_scales[16 * group + position % 16])
      return ScalarMath.fma(Float(code(a, position, d)), weight * scale, sum)
    }
  }

  /// The softmax of some positions, of one query.
  private struct State {
    var sums: [Float]
    var maximum = -Float.infinity
    var denominator: Float = 0

    init(paddedDimension: Int) { sums = [Float](repeating: 0, count: paddedDimension) }

    init(_ floats: UnsafePointer<Float>, paddedDimension: Int) {
      sums = (0..<paddedDimension).map { floats[$0] }
      maximum = floats[paddedDimension]
      denominator = floats[paddedDimension + 1]
    }

    func store(_ floats: UnsafeMutablePointer<Float>) {
      for d in sums.indices { floats[d] = sums[d] }
      floats[sums.count] = maximum
      floats[sums.count + 1] = denominator
    }

    mutating func add(
      _ a: ember_attention, _ reader: CacheReader, _ query: Int, _ chunk: Range<Int>
    ) {
      var weights = chunk.map { adjusted(reader.score(a, query, $0), a, query, $0) }
      let old = maximum
      for score in weights where score > maximum { maximum = score }
      for i in weights.indices { weights[i] = ScalarMath.exponential(weights[i] - maximum) }
      var lanes = [Float](repeating: 0, count: 16)
      for (i, position) in chunk.enumerated() { lanes[position % 16] += weights[i] }
      let kept = ScalarMath.exponential(old - maximum)
      denominator = ScalarMath.fma(denominator, kept, ScalarMath.fold(lanes))
      for d in sums.indices {
        var sum = sums[d] * kept
        for (i, position) in chunk.enumerated() {
          sum = reader.adding(a, position, d, weights[i], sum)
        }
        sums[d] = sum
      }
    }

    mutating func join(_ later: State) {
      // A state that has seen no position changes nothing.
      if later.denominator == 0 { return }
      if denominator == 0 {
        self = later
        return
      }
      let old = maximum
      maximum = old > later.maximum ? old : later.maximum
      let kept = ScalarMath.exponential(old - maximum)
      let added = ScalarMath.exponential(later.maximum - maximum)
      for d in sums.indices { sums[d] = ScalarMath.fma(later.sums[d], added, sums[d] * kept) }
      denominator = ScalarMath.fma(later.denominator, added, denominator * kept)
    }
  }

  /// A score with its soft cap, then its bias.
  private static func adjusted(
    _ score: Float, _ a: ember_attention, _ query: Int, _ position: Int
  ) -> Float {
    var score = score
    if a.soft_cap != 0 { score = a.soft_cap * ScalarMath.tanh(score / a.soft_cap) }
    if let bias = a.bias {
      let distance = a.first_position + query / a.heads - position
      score += bias[query % a.heads * a.bias_stride + distance]
    }
    return score
  }

  /// The positions that a query sees.
  private static func visiblePositions(_ a: ember_attention, _ query: Int) -> Range<Int> {
    let end = a.sees_all != 0 ? a.first_visible : a.first_visible + query / a.heads
    return (a.window > 0 ? max(0, end - a.window) : 0)..<end
  }

  /// The states of all queries after the pieces of positions.
  static func attend(_ a: ember_attention, pieces: Range<Int>, _ reader: CacheReader) {
    let chunk = Int(EMBER_ATTENTION_CHUNK)
    let size = Int(EMBER_ATTENTION_PIECE)
    for query in 0..<a.tokens * a.heads {
      let visible = visiblePositions(a, query)
      var total: State?
      for piece in pieces {
        var state = State(paddedDimension: a.padded_dimension)
        for start in stride(from: piece * size, to: (piece + 1) * size, by: chunk) {
          let seen = visible.clamped(to: start..<start + chunk)
          if !seen.isEmpty { state.add(a, reader, query, seen) }
        }
        if total == nil { total = state } else { total?.join(state) }
      }
      (total ?? State(paddedDimension: a.padded_dimension))
        .store(a.states + query * (a.padded_dimension + 16))
    }
  }

  /// The output of one query from the states of consecutive pieces.
  static func join(
    _ states: UnsafeMutablePointer<Float>, _ count: Int, stride: Int, dimension: Int,
    paddedDimension: Int, _ output: UnsafeMutablePointer<Float>
  ) {
    var total = State(states, paddedDimension: paddedDimension)
    for i in 1..<max(1, count) {
      total.join(State(states + i * stride, paddedDimension: paddedDimension))
    }
    total.store(states)
    for d in 0..<dimension { output[d] = total.sums[d] / total.denominator }
  }
}
