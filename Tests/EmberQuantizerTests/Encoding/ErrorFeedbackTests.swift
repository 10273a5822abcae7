import EmberQuantizer
import Testing

/// GPTQ against textbook algebra in double precision.
struct ErrorFeedbackTests {
  private static let sizes = [1, 15, 16, 17, 63, 64, 65, 200]

  @Test(arguments: sizes, FeedbackInputs.Kind.allCases)
  func factor(n: Int, kind: FeedbackInputs.Kind) throws {
    let moments = FeedbackInputs.moments(n, kind)
    let feedback = try ErrorFeedback(moments: moments, damping: 0.01, threads: 2)
    #expect(feedback.damping == 0.01)
    #expect(feedback.columns == n && feedback.order.sorted() == Array(0..<n))
    for (first, second) in zip(feedback.order, feedback.order.dropFirst()) {
      let (a, b) = (moments.squares[first], moments.squares[second])
      #expect(a > b || a == b && first < second)
    }
    let u = Self.elements(feedback)
    for j in 0..<n {
      #expect(u[j][j] > 0)
      for k in 0..<j { #expect(u[j][k] == 0) }
      let residual = Double(feedback.residualImportance[feedback.order[j]])
      #expect(abs(residual * u[j][j] * u[j][j] - 1) < 1e-5)
    }
    let inverse = Self.product(Self.transposed(u), u)
    let h = FeedbackInputs.damped(moments, damping: 0.01)
    let ordered = feedback.order.map { r in feedback.order.map { h[r][$0] } }
    let unit = Self.product(inverse, ordered)
    // U is in single precision, and the condition of H at most its trace over the damping.
    let trace = (0..<n).reduce(0) { $0 + h[$1][$1] }
    for r in 0..<n {
      for c in 0..<n {
        #expect(abs(unit[r][c] - (r == c ? 1 : 0)) < 1e-7 * trace / 0.01 + 1e-6)
      }
    }
  }

  @Test(arguments: sizes, [FeedbackInputs.Kind.correlated, .fewVectors, .deadColumns])
  func asInTheBook(n: Int, kind: FeedbackInputs.Kind) throws {
    let moments = FeedbackInputs.moments(n, kind)
    let feedback = try ErrorFeedback(moments: moments, damping: 0.1, threads: 2)
    let original = FeedbackInputs.weights(n)
    var (compensated, rounder) = (original, StepRounder(columns: n))
    feedback.round(&compensated, by: &rounder)
    #expect(rounder.asked == feedback.order)
    let h = FeedbackInputs.damped(moments, damping: 0.1)
    let (book, near) = Self.textbook(
      original, h, order: feedback.order, following: rounder.rounded)
    #expect(rounder.rounded == book)
    // Those halfway between two steps, as far as single precision knows.
    #expect(near * 1000 <= 16 * n)
    let cost = FeedbackInputs.cost(original, book, h)
    // The compensated weights show the same error, column by column.
    var sum = 0.0
    for column in 0..<n {
      for lane in 0..<16 {
        let i = 16 * column + lane
        #expect(rounder.rounded[i] == StepRounder.round(compensated[i], lane: lane))
        let error = Double(compensated[i] - rounder.rounded[i])
        sum += error * error * Double(feedback.residualImportance[column])
      }
    }
    #expect(abs(sum - cost) <= 1e-3 * cost)
    if n >= 15 {
      let plain = FeedbackInputs.cost(original, Self.plainlyRounded(original), h)
      #expect(cost <= 0.8 * plain)
    }
  }

  @Test(arguments: sizes)
  func columnsThatNeverMeet(n: Int) throws {
    let feedback = try ErrorFeedback(
      moments: FeedbackInputs.moments(n, .identity), damping: 0.1, threads: 1)
    let original = FeedbackInputs.weights(n)
    var (compensated, rounder) = (original, StepRounder(columns: n))
    feedback.round(&compensated, by: &rounder)
    #expect(compensated == original)
    #expect(rounder.rounded == Self.plainlyRounded(original))
    #expect(feedback.importance == [Float](repeating: 1, count: n))
    #expect(feedback.order == Array(0..<n))
  }

  @Test func columnsThatWereNeverSeen() throws {
    let n = 65
    let feedback = try ErrorFeedback(
      moments: FeedbackInputs.moments(n, .deadColumns), damping: 0.1, threads: 1)
    let original = FeedbackInputs.weights(n)
    var (compensated, rounder) = (original, StepRounder(columns: n))
    feedback.round(&compensated, by: &rounder)
    for column in stride(from: 0, to: n, by: 5) {
      #expect(feedback.importance[column] == 1e-6)
      for lane in 0..<16 {
        #expect(compensated[16 * column + lane] == original[16 * column + lane])
      }
    }
    let seen = feedback.importance.filter { $0 > 1e-6 }
    #expect(seen.count == n - 13)
    #expect(abs(seen.reduce(0, +) / Float(seen.count) - 1) < 1e-4)
  }

  /// Threads and kernels do not matter.
  @Test(arguments: [17, 200, 330])
  func sameBits(n: Int) throws {
    let moments = FeedbackInputs.moments(n, .correlated)
    let original = FeedbackInputs.weights(n)
    var results = [(factor: [[Double]], compensated: [Float], rounded: [Float])]()
    for kernel in UnsafeFeedbackKernel.available {
      for threads in [1, 2, 5] {
        let feedback = try ErrorFeedback(moments: moments, threads: threads, kernel: kernel)
        var (compensated, rounder) = (original, StepRounder(columns: n))
        feedback.round(&compensated, by: &rounder)
        results.append((Self.elements(feedback), compensated, rounder.rounded))
      }
    }
    for result in results.dropFirst() {
      #expect(result.factor == results[0].factor)
      #expect(result.compensated == results[0].compensated)
      #expect(result.rounded == results[0].rounded)
    }
    #expect(UnsafeFeedbackKernel.beside(.scalar).name == "portable")
    #expect(UnsafeFeedbackKernel.beside(.best).name == UnsafeFeedbackKernel.available.last?.name)
  }

  /// Rows may be rounded on many threads at once.
  @Test func manyRows() async throws {
    let n = 130
    let feedback = try ErrorFeedback(
      moments: FeedbackInputs.moments(n, .correlated), threads: 2)
    @Sendable func rounded(_ seed: UInt64) -> [Float] {
      var (weights, rounder) = (FeedbackInputs.weights(n, seed: seed), StepRounder(columns: n))
      feedback.round(&weights, by: &rounder)
      return rounder.rounded
    }
    let together = await withTaskGroup(of: (UInt64, [Float]).self) { group in
      for seed in 0..<UInt64(16) { group.addTask { (seed, rounded(seed)) } }
      return await group.reduce(into: [UInt64: [Float]]()) { $0[$1.0] = $1.1 }
    }
    for seed in 0..<UInt64(16) { #expect(together[seed] == rounded(seed)) }
  }

  /// A matrix without full rank needs damping: some is found.
  @Test func dampingGrows() throws {
    let moments = FeedbackInputs.moments(200, .fewVectors)
    let feedback = try ErrorFeedback(moments: moments, damping: 0, threads: 2)
    #expect(feedback.damping > 0 && feedback.damping <= 0.01)
    let full = try ErrorFeedback(
      moments: FeedbackInputs.moments(65, .correlated), damping: 0, threads: 2)
    #expect(full.damping == 0)
  }

  @Test func errors() {
    let sums = MomentAccumulator(columns: 3, detail: .diagonal)
    #expect(throws: ErrorFeedbackError.diagonalOnly(columns: 3)) {
      try ErrorFeedback(moments: sums.moments(), threads: 1)
    }
    let moments = FeedbackInputs.moments(16, .correlated)
    for damping: Float in [-0.1, .infinity] {
      #expect(throws: ErrorFeedbackError.invalidDamping(damping)) {
        try ErrorFeedback(moments: moments, damping: damping, threads: 1)
      }
    }
    let error = #expect(throws: ErrorFeedbackError.self) {
      try ErrorFeedback(moments: moments, damping: .nan, threads: 1)
    }
    #expect(error?.description == "damping: expected a number of at least 0, found nan")
    let infinite = FeedbackInputs.infiniteMoments()
    let found = #expect(throws: ErrorFeedbackError.self) {
      try ErrorFeedback(moments: infinite, threads: 1)
    }
    #expect(found == .notFinite(column: 1, value: .infinity))
  }

  // MARK: Algebra

  private static func elements(_ feedback: ErrorFeedback) -> [[Double]] {
    (0..<feedback.columns).map { j in
      (0..<feedback.columns).map { Double(feedback.factorElement(j, $0)) }
    }
  }

  private static func transposed(_ a: [[Double]]) -> [[Double]] {
    a.indices.map { r in a.indices.map { a[$0][r] } }
  }

  private static func product(_ a: [[Double]], _ b: [[Double]]) -> [[Double]] {
    a.map { row in
      var sums = [Double](repeating: 0, count: b.count)
      for (value, other) in zip(row, b) where value != 0 {
        for c in sums.indices { sums[c] += value * other[c] }
      }
      return sums
    }
  }

  private static func plainlyRounded(_ weights: [Float]) -> [Float] {
    weights.indices.map { StepRounder.round(weights[$0], lane: $0 % 16) }
  }

  /// The optimal brain quantizer in a given order, as its authors derive it, without any factor:
  /// the inverse of H of the columns that are left is updated after every column (Frantar & Alistarh
  /// 2022, equations 2 and 3). Returns the rounded weights, [columns][16].
  ///
  /// - Parameter given: what to take, [columns][16], where a weight lies so near the middle between
  ///   two steps that single precision may go the other way. All later columns of its row depend on
  ///   it. Their number is returned as well.
  private static func textbook(
    _ weights: [Float], _ h: [[Double]], order: [Int], following given: [Float]
  ) -> (rounded: [Float], near: Int) {
    var inverse = inverted(h)
    var current = weights.map(Double.init)
    var rounded = [Float](repeating: 0, count: weights.count)
    var near = 0
    for (step, j) in order.enumerated() {
      let row = inverse[j]
      let left = order[(step + 1)...]
      for lane in 0..<16 {
        let exact = Float(current[16 * j + lane])
        var q = StepRounder.round(exact, lane: lane)
        let other = given[16 * j + lane]
        let around: [Float] = [exact - 1e-5, exact + 1e-5]
        if q != other, around.contains(where: { StepRounder.round($0, lane: lane) == other }) {
          (q, near) = (other, near + 1)
        }
        rounded[16 * j + lane] = q
        let error = (current[16 * j + lane] - Double(q)) / row[j]
        for k in left { current[16 * k + lane] -= error * row[k] }
      }
      for a in left {
        for b in left { inverse[a][b] -= row[a] * row[b] / row[j] }
      }
    }
    return (rounded, near)
  }

  /// By Gauss and Jordan, with the largest pivot of a column.
  private static func inverted(_ matrix: [[Double]]) -> [[Double]] {
    let n = matrix.count
    var a = matrix
    var result = (0..<n).map { r in (0..<n).map { $0 == r ? 1.0 : 0 } }
    for k in 0..<n {
      let pivot = (k..<n).max { abs(a[$0][k]) < abs(a[$1][k]) } ?? k
      a.swapAt(k, pivot)
      result.swapAt(k, pivot)
      let scale = 1 / a[k][k]
      a[k] = a[k].map { $0 * scale }
      result[k] = result[k].map { $0 * scale }
      for r in 0..<n where r != k && a[r][k] != 0 {
        let factor = a[r][k]
        for c in 0..<n {
          a[r][c] -= factor * a[k][c]
          result[r][c] -= factor * result[k][c]
        }
      }
    }
    return result
  }
}
