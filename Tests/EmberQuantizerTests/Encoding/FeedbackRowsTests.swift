import EmberFormat
import EmberKernels
import EmberQuantizer
import Testing

/// Sixteen rows whose rounding errors are made up for by the columns that follow.
struct FeedbackRowsTests {
  /// Inputs that go together: each column is its own noise and a share of four common causes.
  private static func moments(columns: Int, tokens: Int = 300) -> SecondMoments {
    var random = RandomFloats(seed: UInt64(columns))
    let shares = (0..<4 * columns).map { _ in random.next() }
    let x = (0..<tokens).flatMap { _ -> [Float] in
      let causes = (0..<4).map { _ in random.next() }
      return (0..<columns).map { column in
        let common = (0..<4).reduce(Float(0)) { $0 + causes[$1] * shares[4 * column + $1] }
        return (common + 0.3 * random.next()) * (column % 11 == 3 ? 6 : 1)
      }
    }
    let sums = MomentAccumulator(columns: columns, detail: .full)
    let team = ThreadTeam(threadCount: 1, phaseCapacity: MomentAccumulator.phaseCapacity)
    x.withUnsafeBufferPointer { x in
      if let base = x.baseAddress { sums.add(base, stride: columns, tokens: tokens, team: team) }
    }
    return sums.moments()
  }

  private static func encoded(
    _ values: [Float], rows: Int, _ type: BlockType, columns: Int, _ feedback: ErrorFeedback,
    outliers: Int = 0
  ) throws -> FeedbackRows {
    let group = try #require(
      FeedbackRows(
        type: type, columns: columns, importance: feedback.importance, feedback: feedback))
    values.withUnsafeBufferPointer { values in
      if let base = values.baseAddress { group.encode(base, count: rows, steps: outliers) }
    }
    return group
  }

  /// eᵀ H e of a row.
  private static func cost(_ row: ArraySlice<Float>, _ found: [Float], _ moments: SecondMoments)
    -> Double
  {
    let errors = zip(row, found).map { Double($0) - Double($1) }
    var sum = 0.0
    for i in errors.indices {
      for j in errors.indices { sum += errors[i] * errors[j] * Double(moments.product(i, j)) }
    }
    return sum
  }

  @Test(
    "Feedback lowers the weighted error against plain rounding under the same scales",
    arguments: RowEncoderTests.types, [0, 3])
  func lowersTheError(type: BlockType, outliers: Int) throws {
    for columns in [50, 128] {
      let moments = Self.moments(columns: columns)
      let feedback = try ErrorFeedback(moments: moments, threads: 1)
      let values = RowEncoderTests.weights(16 * columns, seed: 1)
      let group = try Self.encoded(
        values, rows: 16, type, columns: columns, feedback, outliers: outliers)
      var (with, without) = (0.0, 0.0)
      for lane in 0..<16 {
        let row = values[lane * columns..<(lane + 1) * columns]
        let plain = RowEncoderTests.encoded(
          Array(row), type, importance: feedback.importance, outliers: outliers)
        let encoder = group.rows[lane]
        for block in 0..<plain.blockCount { #expect(encoder.scales[block] == plain.scales[block]) }
        #expect(encoder.outliers.map(\.column) == plain.outliers.map(\.column))
        with += Self.cost(row, RowEncoderTests.decoded(encoder, columns: columns), moments)
        without += Self.cost(row, RowEncoderTests.decoded(plain, columns: columns), moments)
      }
      #expect(with < 0.7 * without, "\(with), plain \(without)")
    }
  }

  @Test("Without common causes, feedback is plain rounding", arguments: RowEncoderTests.types)
  func independentInputs(type: BlockType) throws {
    // One token per column that is nothing but that column: H is diagonal.
    let columns = 40
    var x = [Float](repeating: 0, count: columns * columns)
    for column in 0..<columns { x[column * columns + column] = Float(1 + column % 3) }
    let sums = MomentAccumulator(columns: columns, detail: .full)
    let team = ThreadTeam(threadCount: 1, phaseCapacity: MomentAccumulator.phaseCapacity)
    x.withUnsafeBufferPointer { x in
      if let base = x.baseAddress { sums.add(base, stride: columns, tokens: columns, team: team) }
    }
    let feedback = try ErrorFeedback(moments: sums.moments(), threads: 1)
    let values = RowEncoderTests.weights(16 * columns, seed: 2)
    let group = try Self.encoded(values, rows: 16, type, columns: columns, feedback)
    for lane in 0..<16 {
      let row = Array(values[lane * columns..<(lane + 1) * columns])
      let plain = RowEncoderTests.encoded(row, type, importance: feedback.importance)
      let found = RowEncoderTests.decoded(group.rows[lane], columns: columns)
      #expect(found == RowEncoderTests.decoded(plain, columns: columns))
    }
  }

  @Test("A row does not depend on its neighbours or on what lies behind the last")
  func independentRows() throws {
    let columns = 50
    let feedback = try ErrorFeedback(moments: Self.moments(columns: columns), threads: 1)
    let values = RowEncoderTests.weights(16 * columns, seed: 3)
    let all = try Self.encoded(values, rows: 16, .q4n, columns: columns, feedback, outliers: 2)
    let some = try Self.encoded(
      Array(values[..<(5 * columns)]) + [Float](repeating: 1e9, count: 11 * columns), rows: 5, .q4n,
      columns: columns, feedback, outliers: 2)
    for lane in 0..<5 {
      let found = RowEncoderTests.decoded(some.rows[lane], columns: columns)
      #expect(found == RowEncoderTests.decoded(all.rows[lane], columns: columns))
    }
    // Fewer rows after more: nothing of the old ones may be left.
    values.withUnsafeBufferPointer { values in
      if let base = values.baseAddress { all.encode(base + 7 * columns, count: 1, steps: 2) }
    }
    let alone = try Self.encoded(
      Array(values[(7 * columns)..<(8 * columns)]), rows: 1, .q4n, columns: columns, feedback,
      outliers: 2)
    #expect(
      RowEncoderTests.decoded(all.rows[0], columns: columns)
        == RowEncoderTests.decoded(alone.rows[0], columns: columns))
  }

  @Test(
    "Zeros stay zeros, and sizes from 1e-26 to 1e14 lose alike",
    arguments: RowEncoderTests.types)
  func sizes(type: BlockType) throws {
    let columns = 70
    let moments = Self.moments(columns: columns)
    let feedback = try ErrorFeedback(moments: moments, threads: 1)
    let row = RowEncoderTests.weights(columns, seed: 4)
    let expected = RowEncoderTests.relativeError(
      row,
      RowEncoderTests.decoded(
        try Self.encoded(row, rows: 1, type, columns: columns, feedback).rows[0], columns: columns))
    for size in [Float(1e-26), 1e-12, 1e6, 1e14] {
      let scaled = row.map { $0 * size }
      let group = try Self.encoded(scaled, rows: 1, type, columns: columns, feedback)
      let found = RowEncoderTests.decoded(group.rows[0], columns: columns)
      #expect(RowEncoderTests.relativeError(scaled, found) < 1.5 * expected, "\(size)")
    }
    for value in [Float(0), 1e-35] {
      let zeros = [Float](repeating: value, count: 16 * columns)
      let group = try Self.encoded(zeros, rows: 16, type, columns: columns, feedback, outliers: 1)
      for encoder in group.rows {
        let found = RowEncoderTests.decoded(encoder, columns: columns)
        #expect(found.allSatisfy { $0 == 0 })
      }
    }
  }

  @Test("The factor does not depend on the number of threads")
  func threads() throws {
    let columns = 200
    let moments = Self.moments(columns: columns)
    let values = RowEncoderTests.weights(16 * columns, seed: 5)
    let found = try [1, 2, 5].map { threads in
      let feedback = try ErrorFeedback(moments: moments, threads: threads)
      let group = try Self.encoded(values, rows: 16, .q4n, columns: columns, feedback, outliers: 2)
      return group.rows.map { RowEncoderTests.decoded($0, columns: columns) }
    }
    #expect(found[0] == found[1] && found[1] == found[2])
  }

  @Test("Types without groups have no feedback")
  func otherTypes() throws {
    let feedback = try ErrorFeedback(moments: Self.moments(columns: 20), threads: 1)
    for type in [BlockType.q4, .q8, .f16, .f32] {
      let rows = FeedbackRows(type: type, columns: 20, importance: nil, feedback: feedback)
      #expect(rows == nil)
    }
  }
}
