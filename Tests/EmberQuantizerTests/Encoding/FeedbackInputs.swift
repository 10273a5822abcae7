import EmberKernels
import EmberQuantizer

/// Second moments of made-up inputs, and a rounder, for the tests of error feedback.
enum FeedbackInputs {
  enum Kind: CaseIterable {
    /// Neighbouring columns alike, sizes that differ tenfold.
    case correlated
    /// A few more vectors than a third of the columns, so that the matrix has no full rank.
    case fewVectors
    /// As `correlated`, every fifth column (and the first) always 0.
    case deadColumns
    /// Columns that never meet, all with mean square 1.
    case identity
  }

  static func moments(_ n: Int, _ kind: Kind) -> SecondMoments {
    var random = SplitMix(seed: UInt64(n))
    var vectors = [[Float]]()
    switch kind {
    case .identity:
      for column in 0..<n {
        vectors.append((0..<n).map { $0 == column ? 1 : 0 })
      }
    case .correlated, .fewVectors, .deadColumns:
      let tokens = kind == .fewVectors ? n / 3 + 1 : 4 * n + 8
      let sizes = (0..<n).map { _ in 0.2 + 2 * random.next() * random.next() }
      for _ in 0..<tokens {
        var (x, state) = ([Float](), random.next())
        for column in 0..<n {
          state = 0.8 * state + random.next()
          x.append(kind == .deadColumns && column % 5 == 0 ? 0 : state * sizes[column])
        }
        vectors.append(x)
      }
    }
    return moments(vectors, n)
  }

  /// The square of an input overflows.
  static func infiniteMoments() -> SecondMoments { moments([[1, 3e38, 2]], 3) }

  private static func moments(_ vectors: [[Float]], _ n: Int) -> SecondMoments {
    let sums = MomentAccumulator(columns: n, detail: .full)
    let team = ThreadTeam(threadCount: 1, phaseCapacity: MomentAccumulator.phaseCapacity)
    vectors.flatMap { $0 }.withUnsafeBufferPointer { x in
      guard let base = x.baseAddress else { return }
      sums.add(base, stride: n, tokens: vectors.count, team: team)
    }
    return sums.moments()
  }

  /// Sixteen rows, [columns][16].
  static func weights(_ n: Int, seed: UInt64 = 9) -> [Float] {
    var random = SplitMix(seed: seed)
    return (0..<16 * n).map { _ in random.next() + random.next() }
  }

  /// H as `ErrorFeedback` defines it: over the mean square of the inputs seen, 1 for those that
  /// were not, damping on the diagonal; in the order of the columns, [n][n].
  static func damped(_ moments: SecondMoments, damping: Float) -> [[Double]] {
    let seen = moments.squares.filter { $0 > 0 }
    let mean = seen.isEmpty ? 1 : seen.reduce(0, +) / Double(seen.count)
    return (0..<moments.columns).map { r in
      (0..<moments.columns).map { c in
        if r != c { return Double(moments.product(r, c)) / mean }
        return (moments.squares[r] > 0 ? moments.squares[r] / mean : 1) + Double(damping)
      }
    }
  }

  /// Σ over the rows of (weights - rounded)ᵀ H (weights - rounded); both [columns][16].
  static func cost(_ weights: [Float], _ rounded: [Float], _ h: [[Double]]) -> Double {
    var sum = 0.0
    for lane in 0..<16 {
      let errors = h.indices.map { Double(weights[16 * $0 + lane] - rounded[16 * $0 + lane]) }
      for r in h.indices {
        for c in h.indices { sum += errors[r] * h[r][c] * errors[c] }
      }
    }
    return sum
  }
}

/// Multiples of a step per row, eight either way.
struct StepRounder: LaneRounder {
  /// [columns][16]
  var rounded: [Float]
  var asked: [Int] = []

  init(columns: Int) { rounded = [Float](repeating: 0, count: 16 * columns) }

  static func round(_ weight: Float, lane: Int) -> Float {
    let step = 0.2 + 0.01 * Float(lane)
    return max(-8, min(7, (weight / step).rounded(.toNearestOrEven))) * step
  }

  mutating func round(_ weights: SIMD16<Float>, column: Int) -> SIMD16<Float> {
    asked.append(column)
    var result = SIMD16<Float>()
    for lane in 0..<16 {
      result[lane] = Self.round(weights[lane], lane: lane)
      rounded[16 * column + lane] = result[lane]
    }
    return result
  }
}

/// Uniform numbers, -1 ..< 1 (Steele et al. 2014).
struct SplitMix {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> Float {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
    return Float((z ^ z >> 31) >> 40) * 0x1p-23 - 1
  }
}
