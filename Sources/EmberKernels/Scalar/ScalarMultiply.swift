import CKernels

/// Matrix products, one weight at a time: the definition of what the SIMD kernels compute.
enum ScalarMultiply {
  /// How one block type is read; see formats/model-file.md for the layouts.
  struct BlockReader: Sendable {
    let tileBytes: Int
    /// The integer weight in `row` (0 ..< 16) and `column` (0 ..< 64) of a tile.
    let code: @Sendable (UnsafePointer<UInt8>, _ row: Int, _ column: Int) -> Int32
  }

  static let q4 = BlockReader(tileBytes: 576) { tile, row, column in
    let block = column / 32
    let inner = column % 32
    let byte = tile[64 + 256 * block + 64 * (inner % 16 / 4) + 4 * row + inner % 4]
    return Int32(inner < 16 ? byte & 15 : byte >> 4) - 8
  }

  static let q8 = BlockReader(tileBytes: 1088) { tile, row, column in
    let block = column / 32
    let inner = column % 32
    return Int32(tile[64 + 512 * block + 64 * (inner / 4) + 4 * row + inner % 4]) - 128
  }

  static func multiplyBlocks(
    _ reader: BlockReader, _ m: ember_matrix, _ x: ember_token_tile, _ y: ember_output,
    groups: Range<Int>
  ) {
    for group in groups {
      guard let data = m.data else { return }
      let base = data + group * m.group_stride
      for row in 0..<min(16, m.rows - 16 * group) {
        for token in 0..<x.tokens {
          var sum: Float = 0
          for block in 0..<x.columns / 32 {
            sum = addBlock(reader, base, row, block, x, token, residual: false, to: sum)
          }
          for listed in 0..<x.residual_block_count {
            let block = Int(x.residual_blocks[listed])
            if x.residual_scales[block * x.tokens + token] == 0 { continue }
            sum = addBlock(reader, base, row, block, x, token, residual: true, to: sum)
          }
          let steps = UnsafeRawPointer(base) + m.column_tiles * reader.tileBytes
          sum = addOutliers(steps, m.outlier_steps, row, x, token, to: sum)
          store(sum, y, row: 16 * group + row, token: token)
        }
      }
    }
  }

  static func addOutliers(
    _ steps: UnsafeRawPointer, _ count: Int, _ row: Int, _ x: ember_token_tile, _ token: Int,
    to sum: Float
  ) -> Float {
    var sum = sum
    for step in 0..<count {
      let at = steps + 64 * step + 2 * row
      let column = Int(at.load(as: UInt16.self))
      let value = Half.value((at + 32).load(as: UInt16.self))
      sum = ScalarMath.fma(value, x.values[token * x.columns + column], sum)
    }
    return sum
  }

  private static func addBlock(
    _ reader: BlockReader, _ base: UnsafePointer<UInt8>, _ row: Int, _ block: Int,
    _ x: ember_token_tile, _ token: Int, residual: Bool, to sum: Float
  ) -> Float {
    let tile = base + block / 2 * reader.tileBytes
    let at = block * x.tokens + token
    guard let codes = residual ? x.residual_codes : x.codes,
      let scales = residual ? x.residual_scales : x.scales
    else { return sum }
    var dot: Int32 = 0
    for i in 0..<32 {
      dot += reader.code(tile, row, block % 2 * 32 + i) * Int32(codes[32 * at + i])
    }
    let scale = Half.value(
      UnsafeRawPointer(tile).load(fromByteOffset: 32 * (block % 2) + 2 * row, as: UInt16.self))
    return ScalarMath.fma(Float(dot), scale * scales[at], sum)
  }

  static func multiplyHalves(
    _ m: ember_matrix, _ x: ember_token_tile, _ y: ember_output, groups: Range<Int>
  ) {
    for group in groups {
      guard let data = m.data else { return }
      let base = UnsafeRawPointer(data) + group * m.group_stride
      for row in 0..<min(16, m.rows - 16 * group) {
        for token in 0..<x.tokens {
          let values = x.values + token * x.columns
          var sum: Float = 0
          for c in 0..<x.columns {
            let weight = Half.value(base.load(fromByteOffset: 32 * c + 2 * row, as: UInt16.self))
            sum = ScalarMath.fma(weight, values[c], sum)
          }
          store(sum, y, row: 16 * group + row, token: token)
        }
      }
    }
  }

  static func store(_ sum: Float, _ y: ember_output, row: Int, token: Int) {
    let at = token * y.stride + row
    var result = sum
    if let bias = y.bias { result += bias[row] }
    if y.accumulate != 0 { result += y.output[at] }
    y.output[at] = result
  }
}
