import EmberKernels

/// Adds up second moments, window by window, on all threads.
///
/// Sums of a chunk of tokens are in single precision and their totals in double precision. Pieces
/// of work are blocks of the result, so that it does not depend on the number of threads.
package final class MomentAccumulator: @unchecked Sendable {
  // Sendable because workers write only the panels and blocks that they have claimed.

  package let columns: Int
  package let detail: SecondMoments.Detail
  package private(set) var tokenCount = 0
  private let kernel: UnsafeMomentKernel
  private let panels: Int
  /// [panels · 16]
  private let squares: UnsafeMutablePointer<Double>
  private let maxima: UnsafeMutablePointer<Float>
  /// Blocks of 16 × 16 of the upper triangle, row of blocks after row of blocks; the block on the
  /// diagonal is whole.
  private let blocks: UnsafeMutablePointer<Double>
  private let blockCount: Int
  /// The chunk in panels, [panels][chunk][16].
  private let packed: UnsafeMutablePointer<Float>

  /// Tokens that are added up in single precision: so few that a sum of equal signs is off by 2^-17
  /// at the very worst (255 roundings of 2^-24), and by about 10^-6 in practice.
  private static let chunk = 256
  private static let width = UnsafeMomentKernel.width
  private static let blockSize = width * width

  /// Phases of a step at most; the team must have room for them.
  package static let phaseCapacity = 2

  package init(
    columns: Int, detail: SecondMoments.Detail, kernel: UnsafeMomentKernel = .beside(.best)
  ) {
    self.columns = columns
    self.kernel = kernel
    self.detail = detail
    panels = (columns + Self.width - 1) / Self.width
    squares = .aligned(panels * Self.width)
    squares.initialize(repeating: 0, count: panels * Self.width)
    maxima = .aligned(panels * Self.width)
    maxima.initialize(repeating: 0, count: panels * Self.width)
    blockCount = detail == .full ? panels * (panels + 1) / 2 : 0
    blocks = .aligned(blockCount * Self.blockSize)
    blocks.initialize(repeating: 0, count: blockCount * Self.blockSize)
    packed = .aligned(panels * Self.chunk * Self.width)
    packed.initialize(repeating: 0, count: panels * Self.chunk * Self.width)
  }

  deinit {
    squares.deallocate()
    maxima.deallocate()
    blocks.deallocate()
    packed.deallocate()
  }

  /// Bytes that one takes, nil where no integer holds their number.
  static func byteCount(columns: Int, detail: SecondMoments.Detail) -> Int? {
    let (padded, overflowA) = columns.addingReportingOverflow(Self.width)
    let (panels, overflowB) = padded.multipliedReportingOverflow(by: 4 * chunk + 12)
    guard !overflowA, !overflowB else { return nil }
    guard detail == .full else { return panels }
    guard let triangle = SecondMoments.triangleCount(padded) else { return nil }
    let (sums, overflowC) = triangle.multipliedReportingOverflow(by: 8)
    let (total, overflowD) = sums.addingReportingOverflow(panels)
    return overflowC || overflowD ? nil : total
  }

  /// Adds vectors, [tokens][columns], `stride` floats apart.
  package func add(_ x: UnsafePointer<Float>, stride: Int, tokens: Int, team: ThreadTeam) {
    for first in Swift.stride(from: 0, to: tokens, by: Self.chunk) {
      let chunk = ChunkWork(
        sums: self, x: x + first * stride, stride: stride, tokens: min(Self.chunk, tokens - first))
      team.step(chunk)
    }
    tokenCount += tokens
  }

  /// One chunk, as the workers of a step add it.
  private struct ChunkWork: TeamWork, @unchecked Sendable {
    // Sendable because the vectors are only read.
    let sums: MomentAccumulator
    let x: UnsafePointer<Float>
    let stride: Int
    let tokens: Int

    func run(_ worker: inout ThreadTeam.Worker) {
      worker.phase(dividing: sums.panels) { panels in
        for panel in panels { pack(panel) }
      }
      if sums.detail == .diagonal { return }
      // The longest rows of blocks come first.
      worker.phase(pieces: sums.panels) { row in multiply(row) }
    }

    private func panel(_ index: Int) -> UnsafeMutablePointer<Float> {
      sums.packed + index * MomentAccumulator.chunk * MomentAccumulator.width
    }

    private func pack(_ index: Int) {
      let first = index * MomentAccumulator.width
      UnsafeMomentKernel.pack(
        x, stride: stride, tokens: tokens, columns: sums.columns, first: first,
        panel: panel(index), squares: sums.squares + first, maxima: sums.maxima + first)
    }

    private func multiply(_ row: Int) {
      for column in row..<sums.panels {
        sums.kernel.multiply(panel(row), panel(column), tokens, sums.block(row, column))
      }
    }
  }

  /// The block of panels `row` ≤ `column`.
  private func block(_ row: Int, _ column: Int) -> UnsafeMutablePointer<Double> {
    let index = SecondMoments.start(ofRow: row, columns: panels) + column - row
    return blocks + index * Self.blockSize
  }

  /// The sums so far.
  package func moments() -> SecondMoments {
    var products: [Float]?
    if detail == .full, let count = SecondMoments.triangleCount(columns) {
      products = [Float](unsafeUninitializedCapacity: count) { triangle, initialized in
        var place = 0
        for row in 0..<columns {
          let (panel, inner) = (row / Self.width, row % Self.width)
          for column in row..<columns {
            let block = block(panel, column / Self.width)
            triangle[place] = Float(block[inner * Self.width + column % Self.width])
            place += 1
          }
        }
        initialized = place
      }
    }
    return SecondMoments(
      columns: columns, tokenCount: tokenCount,
      squares: Array(UnsafeBufferPointer(start: squares, count: columns)),
      maxima: Array(UnsafeBufferPointer(start: maxima, count: columns)), products: products)
  }
}
