import EmberKernels

/// L⁻¹ of a positive definite A = L Lᵀ, by tiles of 64 × 64 on all threads.
///
/// A is held as the upper triangle of tiles in double precision. Tile by tile it becomes Lᵀ (the
/// left-looking Cholesky factorisation: each tile takes the products of all finished rows at once,
/// so that it is written once), and then each column of tiles of (Lᵀ)⁻¹ follows on its own, by
/// substitution from the bottom. Every tile is computed by one thread, in one order: the result does
/// not depend on their number. n³/3 operations each, 4·n² bytes.
///
/// What lies beyond the last column is a unit matrix.
final class UnsafeTriangularFactor: @unchecked Sendable {
  // Sendable because workers write only the tiles that they have claimed.

  /// Tiles per side.
  let tiles: Int
  private let kernel: UnsafeFeedbackKernel
  /// Tile (i, j), i ≤ j, at j·(j + 1)/2 + i. Off the diagonal -Lᵀ, once factored: the sign cancels
  /// in every product of two. On the diagonal the inverse of the tile of Lᵀ.
  private let elements: UnsafeMutablePointer<Double>
  /// The smallest pivot to trust, per column: [64 · tiles]
  private let leastPivots: UnsafeMutablePointer<Double>
  /// Written by the only piece of its phase.
  private var failed = false

  private static let width = UnsafeFeedbackKernel.width
  private static let tileSize = UnsafeFeedbackKernel.tileSize
  static let phaseCapacity = 3

  init(columns: Int, kernel: UnsafeFeedbackKernel) {
    tiles = (columns + Self.width - 1) / Self.width
    self.kernel = kernel
    // No overflow: the caller has a triangle of as many elements, rounded up to tiles.
    elements = .allocate(capacity: tiles * (tiles + 1) / 2 * Self.tileSize)
    leastPivots = .allocate(capacity: tiles * Self.width)
    leastPivots.initialize(repeating: 0, count: tiles * Self.width)
  }

  deinit {
    elements.deallocate()
    leastPivots.deallocate()
  }

  /// Place of element (row, column) in a tile: panels of eight columns, [8][64][8].
  @inline(__always)
  private static func place(_ row: Int, _ column: Int) -> Int {
    column / 8 * (8 * width) + row * 8 + column % 8
  }

  private func tile(_ row: Int, _ column: Int) -> UnsafeMutablePointer<Double> {
    elements + (column * (column + 1) / 2 + row) * Self.tileSize
  }

  /// Fills in A, from which `element(row, column)` is asked for row ≤ column.
  func fill<Source: TriangleSource>(_ source: Source, team: ThreadTeam) {
    team.step(FillWork(factor: self, source: source))
  }

  private struct FillWork<Source: TriangleSource>: TeamWork {
    let factor: UnsafeTriangularFactor
    let source: Source

    func run(_ worker: inout ThreadTeam.Worker) {
      // The longest columns of tiles come first.
      worker.phase(pieces: factor.tiles) { factor.fill(factor.tiles - 1 - $0, source) }
    }
  }

  private func fill<Source: TriangleSource>(_ column: Int, _ source: Source) {
    let (left, n) = (column * Self.width, source.columns)
    for row in 0...column {
      let (top, tile) = (row * Self.width, tile(row, column))
      for j in 0..<Self.width {
        for i in 0..<Self.width {
          let (r, c) = (min(top + i, left + j), max(top + i, left + j))
          tile[Self.place(i, j)] = c < n ? source.element(r, c) : r == c ? 1 : 0
        }
      }
    }
    for j in 0..<Self.width {
      // A diagonal that is itself rounded to single precision is not known better than this.
      leastPivots[left + j] = tile(column, column)[Self.place(j, j)] * 0x1p-24
    }
  }

  /// Whether A is positive definite; it becomes Lᵀ.
  func factorise(team: ThreadTeam) -> Bool {
    failed = false
    for row in 0..<tiles {
      team.step(RowWork(factor: self, row: row))
      if failed { return false }
    }
    return true
  }

  private struct RowWork: TeamWork {
    let factor: UnsafeTriangularFactor
    let row: Int

    func run(_ worker: inout ThreadTeam.Worker) {
      worker.phase(pieces: factor.tiles - row) { factor.update(row, row + $0) }
      worker.phase(pieces: 1) { _ in factor.factoriseDiagonal(row) }
      worker.phase(pieces: factor.tiles - row - 1) { factor.solve(row, row + 1 + $0) }
    }
  }

  private func update(_ row: Int, _ column: Int) {
    for k in 0..<row { kernel.multiply(tile(k, row), tile(k, column), tile(row, column)) }
  }

  /// A tile on the diagonal becomes the inverse of its upper factor.
  private func factoriseDiagonal(_ index: Int) {
    let (a, n) = (tile(index, index), Self.width)
    for k in 0..<n {
      let pivot = a[Self.place(k, k)]
      // Also false for what is no number.
      guard pivot > leastPivots[index * n + k], pivot.isFinite else {
        failed = true
        return
      }
      let root = pivot.squareRoot()
      a[Self.place(k, k)] = root
      for j in k + 1..<n { a[Self.place(k, j)] /= root }
      for i in k + 1..<n {
        a[Self.place(i, k)] = 0
        let left = a[Self.place(k, i)]
        for j in i..<n { a[Self.place(i, j)] -= left * a[Self.place(k, j)] }
      }
    }
    // In place: column j of the inverse takes columns before j of the inverse, and of column j of
    // the factor only what is not yet overwritten.
    for j in 0..<n {
      let inverse = 1 / a[Self.place(j, j)]
      for i in 0..<j {
        var sum = 0.0
        for k in i..<j { sum += a[Self.place(i, k)] * a[Self.place(k, j)] }
        a[Self.place(i, j)] = -sum * inverse
      }
      a[Self.place(j, j)] = inverse
    }
  }

  /// A tile beside the diagonal becomes minus that of Lᵀ.
  private func solve(_ row: Int, _ column: Int) {
    let (tile, copy) = (tile(row, column), UnsafeMutablePointer<Double>.tile())
    defer { copy.deallocate() }
    copy.update(from: tile, count: Self.tileSize)
    tile.update(repeating: 0, count: Self.tileSize)
    kernel.multiply(self.tile(row, row), copy, tile)
  }

  /// Inverts the factor. Each tile of L⁻¹ is given to the sink; what was factored is used up.
  func invert<Sink: TriangleSink>(into sink: Sink, team: ThreadTeam) {
    team.step(InverseWork(factor: self, sink: sink))
  }

  private struct InverseWork<Sink: TriangleSink>: TeamWork {
    let factor: UnsafeTriangularFactor
    let sink: Sink

    func run(_ worker: inout ThreadTeam.Worker) {
      let count = factor.tiles
      // The kernel wants its left side transposed.
      worker.phase(pieces: count) { j in for i in 0...j { factor.transpose(i, j) } }
      // The longest columns come first.
      worker.phase(pieces: count) { factor.invert(count - 1 - $0, sink) }
    }
  }

  private func transpose(_ row: Int, _ column: Int) {
    let tile = tile(row, column)
    for i in 0..<Self.width {
      for j in 0..<i {
        let (a, b) = (Self.place(i, j), Self.place(j, i))
        (tile[a], tile[b]) = (tile[b], tile[a])
      }
    }
  }

  /// Column `column` of X = (Lᵀ)⁻¹, from the bottom: Lᵀ[i][i] · X[i] = -Σ over k > i of
  /// Lᵀ[i][k] · X[k]. The two signs that the kernel turns are those of -Lᵀ and of the sum.
  private func invert<Sink: TriangleSink>(_ column: Int, _ sink: Sink) {
    let size = Self.tileSize
    let x = UnsafeMutablePointer<Double>.allocate(capacity: (column + 1) * size)
    let sum = UnsafeMutablePointer<Double>.tile()
    defer {
      x.deallocate()
      sum.deallocate()
    }
    x.initialize(repeating: 0, count: (column + 1) * size)
    let diagonal = tile(column, column)
    for i in 0..<Self.width {
      for j in 0..<Self.width {
        x[column * size + Self.place(i, j)] = diagonal[Self.place(j, i)]
      }
    }
    for row in (0..<column).reversed() {
      sum.update(repeating: 0, count: size)
      for k in row + 1...column { kernel.multiply(tile(row, k), x + k * size, sum) }
      kernel.multiply(tile(row, row), sum, x + row * size)
    }
    for row in 0...column {
      let tile = x + row * size
      // L⁻¹ is the transpose.
      sink.store(row: column, column: row) { i, j in tile[Self.place(j, i)] }
    }
  }
}

/// Where the matrix to factor comes from.
protocol TriangleSource: Sendable {
  var columns: Int { get }
  /// For row ≤ column < `columns`; called on any thread.
  func element(_ row: Int, _ column: Int) -> Double
}

/// Where the inverse factor goes.
protocol TriangleSink: Sendable {
  /// Tile (row, column), column ≤ row; called on any thread, once per tile.
  func store(row: Int, column: Int, element: (_ i: Int, _ j: Int) -> Double)
}

extension UnsafeMutablePointer<Double> {
  /// A tile of zeros.
  fileprivate static func tile() -> UnsafeMutablePointer<Double> {
    let tile = UnsafeMutablePointer<Double>.allocate(capacity: UnsafeFeedbackKernel.tileSize)
    tile.initialize(repeating: 0, count: UnsafeFeedbackKernel.tileSize)
    return tile
  }
}
