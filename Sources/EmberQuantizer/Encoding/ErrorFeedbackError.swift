/// Why second moments give no error feedback: one case per cause.
package enum ErrorFeedbackError: Error, Sendable, Equatable, CustomStringConvertible {
  /// Only Σ x² was collected.
  case diagonalOnly(columns: Int)
  /// A damping that is negative, infinite or no number.
  case invalidDamping(Float)
  /// A sum of squares that is negative, infinite or no number.
  case notFinite(column: Int, value: Double)
  /// No factor, however much was added to the diagonal.
  case notPositiveDefinite(columns: Int, damping: Float)

  package var description: String {
    switch self {
    case .diagonalOnly(let columns):
      "second moments of \(columns) inputs: expected the full matrix, found its diagonal; "
        + "collect them in full"
    case .invalidDamping(let damping):
      "damping: expected a number of at least 0, found \(damping)"
    case .notFinite(let column, let value):
      "second moments: input \(column): expected a sum of squares, found \(value); "
        + "collect them again"
    case .notPositiveDefinite(let columns, let damping):
      "second moments of \(columns) inputs: not positive definite, even with \(damping) of the mean "
        + "square on the diagonal; collect them again"
    }
  }
}
