import EmberFormat
import EmberKernels

/// A group of 16 rows whose codes are chosen one column after another, each making up for what the
/// columns before it lost. Scales and outliers are found first, by each row's own encoder, and
/// stay: the static groups of GPTQ.
package final class FeedbackRows {
  /// The rows' encoders; after `encode` they hold what the file will.
  package let rows: [RowEncoder]
  private let feedback: ErrorFeedback
  private let levels: GroupLevels
  private let columns: Int
  /// [columns][16 rows]
  private let weights: UnsafeMutablePointer<Float>
  private let codes: UnsafeMutablePointer<SIMD16<Int8>>
  /// [groups] of 16 rows
  private let scales: UnsafeMutablePointer<SIMD16<Float>>
  /// Rows whose weight in a column is an outlier, a bit each.
  private var outliers: [UInt16]

  package init?(type: BlockType, columns: Int, importance: [Float]?, feedback: ErrorFeedback) {
    guard let levels = GroupLevels.of(type) else { return nil }
    self.levels = levels
    self.feedback = feedback
    self.columns = columns
    rows = (0..<16).map { _ in
      RowEncoder(type: type, columns: columns, importance: importance)
    }
    weights = .allocate(capacity: 16 * columns)
    weights.initialize(repeating: 0, count: 16 * columns)
    codes = .allocate(capacity: columns)
    codes.initialize(repeating: SIMD16(), count: columns)
    scales = .allocate(capacity: (columns + 15) / 16)
    scales.initialize(repeating: SIMD16(), count: (columns + 15) / 16)
    outliers = Array(repeating: 0, count: columns)
  }

  deinit {
    weights.deallocate()
    codes.deallocate()
    scales.deallocate()
  }

  /// Encodes `count` rows of `values`, at most 16, with up to `steps` outliers each.
  package func encode(_ values: UnsafePointer<Float>, count: Int, steps: Int) {
    weights.update(repeating: 0, count: 16 * columns)
    for column in 0..<columns { outliers[column] = 0 }
    for (lane, row) in rows.prefix(count).enumerated() {
      let source = values + lane * columns
      row.encode(source, steps: steps)
      for outlier in row.outliers { outliers[outlier.column] |= 1 << UInt16(lane) }
      for group in 0..<row.blockCount { scales[group][lane] = row.scales[group] }
      for column in 0..<columns { weights[16 * column + lane] = source[column] }
    }
    outliers.withUnsafeBufferPointer { outliers in
      var rounder = NearestLevels(levels: levels, scales: scales, outliers: outliers, codes: codes)
      feedback.round(weights, by: &rounder)
    }
    for (lane, row) in rows.prefix(count).enumerated() {
      for column in 0..<columns { row.codes[column] = codes[column][lane] }
      for (index, outlier) in row.outliers.enumerated() {
        row.replace(outlier: index, by: weights[16 * outlier.column + lane])
      }
    }
  }
}

/// Rounds a column of 16 rows to the nearest levels of its groups; outliers stay as they are.
private struct NearestLevels: LaneRounder {
  let levels: GroupLevels
  let scales: UnsafeMutablePointer<SIMD16<Float>>
  let outliers: UnsafeBufferPointer<UInt16>
  let codes: UnsafeMutablePointer<SIMD16<Int8>>

  mutating func round(_ weights: SIMD16<Float>, column: Int) -> SIMD16<Float> {
    let scale = scales[column / 16]
    let usable = scale .> 1e-30 .| scale .< -1e-30
    var numbers = (weights / scale).replacing(with: 0, where: .!usable)
    let kept = outliers[column]
    // An outlier's block should hold next to nothing for it.
    if kept != 0 { for lane in 0..<16 where kept >> lane & 1 != 0 { numbers[lane] = 0 } }
    let (code, level) = levels.nearest(numbers)
    codes[column] = SIMD16<Int8>(truncatingIfNeeded: code)
    var rounded = level * scale
    if kept != 0 {
      for lane in 0..<16 where kept >> lane & 1 != 0 { rounded[lane] = weights[lane] }
    }
    return rounded
  }
}
