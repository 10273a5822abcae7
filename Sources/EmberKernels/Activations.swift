import CKernels

/// The inputs of matrix products: vectors of floats, and their int8 codes.
///
/// A buffer is allocated once and used for every layer. Tokens are kept in tiles of 16; or each is a
/// tile of its own, for products with a matrix each.
public final class Activations: @unchecked Sendable {
  // Sendable because workers write only the tiles that they have claimed, and `tokens` changes
  // only between steps.

  public static let tokensPerTile = 16

  /// [tokens][paddedColumns] floats. Columns behind the real ones are zero and must stay so.
  public let values: UnsafeMutablePointer<Float>
  /// Columns that hold something.
  public let columns: Int
  /// Columns of a vector, a multiple of 64.
  public let paddedColumns: Int
  /// Tokens of a whole tile.
  public let tileLength: Int
  /// Vectors now held; set it between steps, or while nothing uses it.
  public var tokens = 0 {
    didSet {
      precondition(tokens * paddedColumns <= capacity, "more tokens than there is room for")
    }
  }

  /// Whether `quantize` makes a transposed tile too, which products with outliers go faster with.
  public let transposes: Bool

  private let capacity: Int
  /// [paddedColumns][16] of each tile
  private let transposed: UnsafeMutablePointer<Float>?
  private let codes: UnsafeMutablePointer<Int8>
  private let residualCodes: UnsafeMutablePointer<Int8>
  private let scales: UnsafeMutablePointer<Float>
  private let residualScales: UnsafeMutablePointer<Float>
  private let sums: UnsafeMutablePointer<Int32>
  private let residualSums: UnsafeMutablePointer<Int32>
  private let halfSums: UnsafeMutablePointer<Int16>
  private let residualHalfSums: UnsafeMutablePointer<Int16>
  private let residualBlocks: UnsafeMutablePointer<UInt32>
  private let residualCounts: UnsafeMutablePointer<Int>

  /// Room for `tokens` vectors of up to `columns` columns.
  public init(
    tokens: Int, columns: Int, tileLength: Int = tokensPerTile, transposes: Bool = false
  ) {
    self.columns = columns
    self.tileLength = tileLength
    paddedColumns = Self.padded(columns)
    // Tiles are whole, so that a tile's block list has a place of its own.
    let tiles = (tokens + tileLength - 1) / tileLength
    capacity = tokens * paddedColumns
    self.transposes = transposes && Self.canTranspose(tokens: tokens, tileLength: tileLength)
    // Left untouched: the system gives memory only to the tiles that are used.
    transposed = self.transposes ? .aligned(tiles * Self.tokensPerTile * paddedColumns) : nil
    let blocks = capacity / 32
    // An outlier's column is 16 bits of the file. Behind the last vector there is room for the
    // largest, so that a damaged one reads a wrong number and never foreign memory.
    values = .aligned(capacity + Int(UInt16.max))
    codes = .aligned(capacity)
    residualCodes = .aligned(capacity)
    scales = .aligned(blocks)
    residualScales = .aligned(blocks)
    sums = .aligned(blocks)
    residualSums = .aligned(blocks)
    halfSums = .aligned(2 * blocks)
    residualHalfSums = .aligned(2 * blocks)
    residualBlocks = .aligned(tiles * paddedColumns / 32)
    residualCounts = .aligned(tiles)
    values.initialize(repeating: 0, count: capacity + Int(UInt16.max))
    codes.initialize(repeating: 0, count: capacity)
    residualCodes.initialize(repeating: 0, count: capacity)
    scales.initialize(repeating: 0, count: blocks)
    residualScales.initialize(repeating: 0, count: blocks)
    sums.initialize(repeating: 0, count: blocks)
    residualSums.initialize(repeating: 0, count: blocks)
    halfSums.initialize(repeating: 0, count: 2 * blocks)
    residualHalfSums.initialize(repeating: 0, count: 2 * blocks)
    residualBlocks.initialize(repeating: 0, count: tiles * paddedColumns / 32)
    residualCounts.initialize(repeating: 0, count: tiles)
  }

  deinit {
    values.deallocate()
    transposed?.deallocate()
    codes.deallocate()
    residualCodes.deallocate()
    scales.deallocate()
    residualScales.deallocate()
    sums.deallocate()
    residualSums.deallocate()
    halfSums.deallocate()
    residualHalfSums.deallocate()
    residualBlocks.deallocate()
    residualCounts.deallocate()
  }

  /// Products of a single token gather their outliers.
  private static func canTranspose(tokens: Int, tileLength: Int) -> Bool {
    tokens > 1 && tileLength == tokensPerTile
  }

  /// Bytes that a buffer of this size takes at most.
  public static func byteCount(
    tokens: Int, columns: Int, tileLength: Int = tokensPerTile
  ) -> Int {
    let tiles = (tokens + tileLength - 1) / tileLength
    let blocks = padded(columns) / 32
    let transposed =
      canTranspose(tokens: tokens, tileLength: tileLength)
      ? tiles * tokensPerTile * padded(columns) * 4 : 0
    return transposed + tokens * (padded(columns) * 6 + blocks * 24) + tiles * (blocks * 4 + 8)
      + Int(UInt16.max) * 4
  }

  private static func padded(_ columns: Int) -> Int { (columns + 63) / 64 * 64 }

  public var tileCount: Int { (tokens + tileLength - 1) / tileLength }

  /// Tokens of one tile.
  public func tokenRange(ofTile tile: Int) -> Range<Int> {
    let first = tile * tileLength
    return first..<min(tokens, first + tileLength)
  }

  /// The vector of one token, [paddedColumns].
  public func vector(_ token: Int) -> UnsafeMutablePointer<Float> {
    values + token * paddedColumns
  }

  /// Makes the codes of a tile from its values, and the transposed tile where there is one.
  public func quantize(tile: Int, kernels: Kernels) {
    let range = tokenRange(ofTile: tile)
    let first = range.lowerBound
    let blocks = paddedColumns / 32
    let storage = ember_tile_storage(
      codes: codes + first * paddedColumns, scales: scales + first * blocks,
      sums: sums + first * blocks, half_sums: halfSums + 2 * first * blocks,
      residual_codes: residualCodes + first * paddedColumns,
      residual_scales: residualScales + first * blocks,
      residual_sums: residualSums + first * blocks,
      residual_half_sums: residualHalfSums + 2 * first * blocks,
      residual_blocks: residualBlocks + tile * blocks)
    guard let quantize = kernels.table.quantize else { return }
    let values = values + first * paddedColumns
    residualCounts[tile] = quantize(values, range.count, paddedColumns, storage)
    if let transposed = transposedTile(tile) {
      kernels.table.transpose(values, range.count, paddedColumns, transposed)
    }
  }

  /// nil as well where tokens are too few for it to pay: products gather for fewer than four.
  private func transposedTile(_ tile: Int) -> UnsafeMutablePointer<Float>? {
    guard let transposed, tokenRange(ofTile: tile).count >= 4 else { return nil }
    return transposed + tile * Self.tokensPerTile * paddedColumns
  }

  package func tile(_ tile: Int) -> ember_token_tile {
    let range = tokenRange(ofTile: tile)
    let first = range.lowerBound
    let blocks = paddedColumns / 32
    return ember_token_tile(
      tokens: range.count, columns: paddedColumns, values: values + first * paddedColumns,
      transposed: transposedTile(tile), codes: codes + first * paddedColumns,
      scales: scales + first * blocks, sums: sums + first * blocks,
      half_sums: halfSums + 2 * first * blocks,
      residual_codes: residualCodes + first * paddedColumns,
      residual_scales: residualScales + first * blocks,
      residual_sums: residualSums + first * blocks,
      residual_half_sums: residualHalfSums + 2 * first * blocks,
      residual_blocks: residualBlocks + tile * blocks,
      residual_block_count: residualCounts[tile])
  }
}

extension UnsafeMutablePointer {
  /// Uninitialised room for `count` elements, 64-byte aligned: a cache line, an AVX-512 register.
  package static func aligned(_ count: Int) -> UnsafeMutablePointer<Pointee> {
    UnsafeMutableRawPointer.allocate(
      byteCount: Swift.max(1, count) * MemoryLayout<Pointee>.stride, alignment: 64
    ).bindMemory(to: Pointee.self, capacity: Swift.max(1, count))
  }
}
