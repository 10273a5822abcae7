import EmberKernels

/// Rounds the columns of a matrix one after another; those still to come make up for the errors
/// made: GPTQ (Frantar et al. 2022, algorithm 1) with act-order on scales that are set before.
///
/// ```swift
/// let feedback = try ErrorFeedback(moments: moments, threads: 8)
/// feedback.round(weights, by: &rounder)  // sixteen rows
/// ```
///
/// With H the second moments of the inputs, damped, an error vector e of a row costs eᵀ H e. The
/// columns are rounded in descending order of the diagonal of H, so that those that matter most are
/// rounded while all others can still give way. With H⁻¹ = Uᵀ U, U upper triangular in that order,
/// the best that later columns k can do about the error of column j is
/// w[k] -= (w[j] - q[j]) / U[j][j] · U[j][k].
///
/// U comes from one Cholesky factorisation and one triangular inverse: in the reverse order
/// H = L Lᵀ, and U is L⁻¹ with rows and columns reversed. Both are in double precision; U is kept
/// in single precision, each row divided by its diagonal (as QuIP writes it: Chee et al. 2023,
/// section 3), so that rounding needs no division. It takes 2·n² bytes, and making it 4·n² more
/// (n = 11,008: 242 MB and 485 MB).
package final class ErrorFeedback: @unchecked Sendable {
  // Sendable because nothing changes after initialization.

  package let columns: Int
  /// Share of the mean square that was added to the diagonal: what was asked for, or more where
  /// that did not make the matrix positive definite.
  package let damping: Float
  /// The column that is rounded j-th: descending mean squares, equal ones by their index.
  package let order: [Int]
  /// Mean square of each input over the mean of all that were ever seen, at least 1e-6.
  package let importance: [Float]
  /// What an error in each column costs when later columns make up for it as well as they can:
  /// 1 / U[j][j]², in the unit of `importance`. Σ of this · (w - q)² over the columns, w being the
  /// compensated weights, is eᵀ H e, damping included.
  package let residualImportance: [Float]

  private let kernel: UnsafeFeedbackKernel
  private let tiles: Int
  /// Columns in ascending order, zeros behind the last: [64 · tiles]
  private let ascending: UnsafeMutablePointer<UInt32>
  /// L⁻¹ with rows divided by their diagonal: tile (i, j), j ≤ i, at i·(i + 1)/2 + j, [64][64].
  private let factor: UnsafeMutablePointer<Float>
  /// Diagonal of L⁻¹, [64 · tiles]
  private let diagonal: UnsafeMutablePointer<Float>

  private static let width = UnsafeFeedbackKernel.width
  private static let tileSize = UnsafeFeedbackKernel.tileSize
  private static let lanes = UnsafeFeedbackKernel.lanes

  /// - Parameters:
  ///   - moments: in full. A column that was never seen gets the mean of the others.
  ///   - damping: share of the mean square that is added to the diagonal. Where the matrix is still
  ///     not positive definite, ten times as much, up to four times.
  ///   - threads: threads to work on; the result does not depend on their number.
  /// - Throws: `.diagonalOnly`, `.invalidDamping`, `.notFinite`, `.notPositiveDefinite`
  /// - Complexity: ⅔·n³ operations.
  package init(
    moments: SecondMoments, damping: Float = 0.1, threads: Int,
    kernel: UnsafeFeedbackKernel = .beside(.best)
  ) throws(ErrorFeedbackError) {
    let n = moments.columns
    guard let products = moments.products else { throw .diagonalOnly(columns: n) }
    guard damping >= 0, damping.isFinite else { throw .invalidDamping(damping) }
    for (column, square) in moments.squares.enumerated()
    where !(square >= 0 && square.isFinite) {
      throw .notFinite(column: column, value: square)
    }
    let squares = moments.squares
    let seen = squares.filter { $0 > 0 }
    // Divided first, so that no sum overflows.
    let mean = seen.isEmpty ? 1 : seen.reduce(0) { $0 + $1 / Double(seen.count) }
    let order = squares.indices.sorted {
      squares[$0] != squares[$1] ? squares[$0] > squares[$1] : $0 < $1
    }
    let ascendingOrder = Array(order.reversed())

    let team = ThreadTeam(
      threadCount: threads, phaseCapacity: UnsafeTriangularFactor.phaseCapacity)
    let cholesky = UnsafeTriangularFactor(columns: n, kernel: kernel)
    var used = damping
    for attempt in 0... {
      cholesky.fill(
        MomentSource(
          columns: n, order: ascendingOrder, squares: squares, products: products, mean: mean,
          damping: Double(used)), team: team)
      if cholesky.factorise(team: team) { break }
      if attempt == 4 { throw .notPositiveDefinite(columns: n, damping: used) }
      used = max(10 * used, 0.001)
    }

    let tiles = cholesky.tiles
    let padded = tiles * Self.width
    let factor = UnsafeMutablePointer<Float>.aligned(tiles * (tiles + 1) / 2 * Self.tileSize)
    let diagonal = UnsafeMutablePointer<Float>.aligned(padded)
    let ascending = UnsafeMutablePointer<UInt32>.allocate(capacity: padded)
    ascending.initialize(repeating: 0, count: padded)
    for (place, column) in ascendingOrder.enumerated() { ascending[place] = UInt32(column) }
    cholesky.invert(into: FactorSink(factor: factor, diagonal: diagonal), team: team)
    team.step(NormalizingWork(factor: factor, diagonal: diagonal, tiles: tiles))

    var residual = [Float](repeating: 0, count: n)
    for (place, column) in ascendingOrder.enumerated() {
      residual[column] = 1 / (diagonal[place] * diagonal[place])
    }
    columns = n
    self.damping = used
    self.order = order
    importance = squares.map { max(1e-6, Float($0 / mean)) }
    residualImportance = residual
    self.kernel = kernel
    self.tiles = tiles
    self.ascending = ascending
    self.factor = factor
    self.diagonal = diagonal
  }

  deinit {
    ascending.deallocate()
    factor.deallocate()
    diagonal.deallocate()
  }

  /// U[j][k], indices in the order of rounding, of H over the mean square of the inputs.
  package func factorElement(_ j: Int, _ k: Int) -> Float {
    precondition((0..<columns).contains(j) && (0..<columns).contains(k))
    let (row, column) = (columns - 1 - j, columns - 1 - k)
    if column > row { return 0 }
    if column == row { return diagonal[row] }
    let tile = tile(row / Self.width, column / Self.width)
    return tile[row % Self.width * Self.width + column % Self.width] * diagonal[row]
  }

  private func tile(_ row: Int, _ column: Int) -> UnsafePointer<Float> {
    UnsafePointer(factor + (row * (row + 1) / 2 + column) * Self.tileSize)
  }

  /// Rounds sixteen rows. May be called on many threads at once, for different rows.
  ///
  /// - Parameters:
  ///   - weights: [columns][16]; on return the compensated weights, as they were given to the
  ///     rounder.
  ///   - rounder: asked once per column, in the order of `order`.
  /// - Complexity: 16·n² operations.
  package func round<Rounder: LaneRounder>(
    _ weights: UnsafeMutablePointer<Float>, by rounder: inout Rounder
  ) {
    /// w - q of a tile's columns, [64][16].
    let errors = UnsafeMutablePointer<Float>.aligned(Self.width * Self.lanes)
    defer { errors.deallocate() }
    errors.initialize(repeating: 0, count: Self.width * Self.lanes)
    for index in (0..<tiles).reversed() {
      let first = index * Self.width
      let places = ascending + first
      let triangle = tile(index, index)
      for place in (0..<min(Self.width, columns - first)).reversed() {
        let column = Int(places[place])
        let current = UnsafeRawPointer(weights + Self.lanes * column)
          .loadUnaligned(as: SIMD16<Float>.self)
        let error = current - rounder.round(current, column: column)
        UnsafeMutableRawPointer(errors + Self.lanes * place)
          .storeBytes(of: error, as: SIMD16<Float>.self)
        Self.feedBack(
          error, row: triangle + place * Self.width, columns: places, count: place,
          weights: weights)
      }
      // Errors behind the last column are 0, and so is their part of the factor.
      for column in 0..<index {
        kernel.feedBack(tile(index, column), errors, ascending + column * Self.width, weights)
      }
    }
  }

  /// What the rest of a tile's columns take of one error.
  @inline(__always)
  private static func feedBack(
    _ error: SIMD16<Float>, row: UnsafePointer<Float>, columns: UnsafePointer<UInt32>, count: Int,
    weights: UnsafeMutablePointer<Float>
  ) {
    for place in 0..<count {
      let target = UnsafeMutableRawPointer(weights + lanes * Int(columns[place]))
      let value = target.loadUnaligned(as: SIMD16<Float>.self) - error * row[place]
      target.storeBytes(of: value, as: SIMD16<Float>.self)
    }
  }

  /// H in ascending order, over the mean square, with the damping on its diagonal.
  private struct MomentSource: TriangleSource {
    let columns: Int
    let order: [Int]
    let squares: [Double]
    let products: [Float]
    let mean: Double
    let damping: Double

    func element(_ row: Int, _ column: Int) -> Double {
      let (a, b) = (order[row], order[column])
      if a == b { return (squares[a] > 0 ? squares[a] / mean : 1) + damping }
      if squares[a] == 0 || squares[b] == 0 { return 0 }
      let (low, high) = (min(a, b), max(a, b))
      return Double(products[SecondMoments.start(ofRow: low, columns: columns) + high - low]) / mean
    }
  }

  private struct FactorSink: TriangleSink, @unchecked Sendable {
    // Sendable because every tile is stored by one thread.
    let factor: UnsafeMutablePointer<Float>
    let diagonal: UnsafeMutablePointer<Float>

    func store(row: Int, column: Int, element: (Int, Int) -> Double) {
      let tile = factor + (row * (row + 1) / 2 + column) * ErrorFeedback.tileSize
      for i in 0..<ErrorFeedback.width {
        for j in 0..<ErrorFeedback.width {
          tile[i * ErrorFeedback.width + j] = Float(element(i, j))
        }
        if row == column { diagonal[row * ErrorFeedback.width + i] = Float(element(i, i)) }
      }
    }
  }

  /// Divides the rows by their diagonal.
  private struct NormalizingWork: TeamWork, @unchecked Sendable {
    // Sendable because every tile is divided by one thread.
    let factor: UnsafeMutablePointer<Float>
    let diagonal: UnsafeMutablePointer<Float>
    let tiles: Int

    func run(_ worker: inout ThreadTeam.Worker) {
      worker.phase(pieces: tiles) { row in
        for column in 0...row {
          let tile = factor + (row * (row + 1) / 2 + column) * ErrorFeedback.tileSize
          for i in 0..<ErrorFeedback.width {
            let value = diagonal[row * ErrorFeedback.width + i]
            for j in 0..<ErrorFeedback.width { tile[i * ErrorFeedback.width + j] /= value }
          }
        }
      }
    }
  }
}
