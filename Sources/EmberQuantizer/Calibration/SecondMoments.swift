/// What a text shows of the vectors x that some matrices are given: second moments and maxima.
///
/// ```swift
/// let meanSquare = moments.squares.map { $0 / Double(moments.tokenCount) }
/// let features = moments.featureColumns()  // LLM.int8()'s feature dimensions
/// ```
///
/// An error in column c of a matrix changes its outputs by that error times x[c], so that the
/// squared error of all outputs over a text is Σ eᵀ (Σ x xᵀ) e over the rows' errors e: the Hessian
/// of GPTQ (Frantar et al. 2022, section 3), up to a factor. Its diagonal alone is the importance of
/// the columns. Sums are not divided by the number of tokens, so that those of two texts can be
/// added.
public struct SecondMoments: Sendable, Equatable {
  /// How much is kept.
  public enum Detail: String, Sendable, CaseIterable {
    /// Σ x² per column.
    case diagonal
    /// Σ x xᵀ as well.
    case full
  }

  /// Elements of x.
  public let columns: Int
  /// Vectors that were added up.
  public internal(set) var tokenCount: Int
  /// Σ x², [columns]
  public internal(set) var squares: [Double]
  /// max |x|, [columns]
  public internal(set) var maxima: [Float]
  /// The upper triangle of Σ x xᵀ, row after row: row r holds columns r to the last, so
  /// [columns · (columns + 1) / 2] in all. Nil where only the diagonal was collected.
  public internal(set) var products: [Float]?

  public var detail: Detail { products == nil ? .diagonal : .full }

  /// Element (row, column) of Σ x xᵀ; off the diagonal 0 where only that was collected.
  public func product(_ row: Int, _ column: Int) -> Float {
    precondition((0..<columns).contains(row) && (0..<columns).contains(column))
    let (low, high) = (min(row, column), max(row, column))
    guard let products else { return row == column ? Float(squares[row]) : 0 }
    return products[Self.start(ofRow: low, columns: columns) + high - low]
  }

  /// Σ x xᵀ with both triangles, [columns][columns]; nil where only the diagonal was collected.
  public func squareMatrix() -> [Float]? {
    guard let products else { return nil }
    let n = columns
    return [Float](unsafeUninitializedCapacity: n * n) { matrix, count in
      // Blocks of 32 × 32, so that the transposed writes stay in the cache.
      for top in stride(from: 0, to: n, by: 32) {
        for left in stride(from: top, to: n, by: 32) {
          for row in top..<min(n, top + 32) {
            let start = Self.start(ofRow: row, columns: n) - row
            for column in max(row, left)..<max(row, min(n, left + 32)) {
              matrix[row * n + column] = products[start + column]
              matrix[column * n + row] = products[start + column]
            }
          }
        }
      }
      count = n * n
    }
  }

  /// Columns whose largest input is at least `threshold`, the feature dimensions of LLM.int8()
  /// (Dettmers et al. 2022, section 4), ascending.
  public func featureColumns(threshold: Float = 6) -> [Int] {
    maxima.indices.filter { maxima[$0] >= threshold }
  }

  /// Adds what another text showed of the same inputs.
  ///
  /// - Throws: `CalibrationError.differentDetail`, `.differentModels` where the widths differ.
  public mutating func merge(_ other: SecondMoments) throws(CalibrationError) {
    guard columns == other.columns else {
      throw .differentModels(
        field: "inputs of a matrix", expected: "\(columns)", found: "\(other.columns)")
    }
    guard detail == other.detail else {
      throw .differentDetail(expected: detail, found: other.detail)
    }
    tokenCount += other.tokenCount
    for c in 0..<columns {
      squares[c] += other.squares[c]
      maxima[c] = max(maxima[c], other.maxima[c])
    }
    if let more = other.products { products?.add(more) }
  }

  /// Where a row's part of the triangle begins. Callers know that the triangle fits into memory.
  static func start(ofRow row: Int, columns: Int) -> Int {
    row * columns - row * (row - 1) / 2
  }

  /// Elements of the triangle, nil where no integer holds their number.
  static func triangleCount(_ columns: Int) -> Int? {
    let (next, overflowA) = columns.addingReportingOverflow(1)
    let (twice, overflowB) = columns.multipliedReportingOverflow(by: next)
    return overflowA || overflowB ? nil : twice / 2
  }
}

extension [Float] {
  fileprivate mutating func add(_ other: [Float]) {
    for i in 0..<Swift.min(count, other.count) { self[i] += other[i] }
  }
}
