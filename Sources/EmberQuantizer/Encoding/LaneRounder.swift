/// Rounds the weights of one column in sixteen rows, each row with its own scale.
package protocol LaneRounder {
  /// What the file will give back for `weights`.
  ///
  /// - Parameter column: the column of the matrix, in its own order. Columns come in the order of
  ///   `ErrorFeedback.order`, so scales must stand before the first one is rounded.
  mutating func round(_ weights: SIMD16<Float>, column: Int) -> SIMD16<Float>
}
