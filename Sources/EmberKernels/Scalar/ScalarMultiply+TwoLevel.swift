import CKernels

extension ScalarMultiply {
  /// Products of the types with two levels of scales.
  static func multiplyTwoLevel(
    _ type: MatrixType, _ m: ember_matrix, _ x: ember_token_tile, _ y: ember_output,
    groups: Range<Int>
  ) {
    guard let data = m.data else { return }
    let reader = TwoLevelReader(type)
    for group in groups {
      let base = data + group * m.group_stride
      let tiles = base + type.rowScaleBytes
      let steps = UnsafeRawPointer(tiles) + m.column_tiles * type.tileBytes
      for row in 0..<min(16, m.rows - 16 * group) {
        for token in 0..<x.tokens {
          var sum: Float = 0
          for block in 0..<x.columns / 32 {
            sum = addBlock(reader, tiles, row, block, x, token, residual: false, to: sum)
          }
          for listed in 0..<x.residual_block_count {
            let block = Int(x.residual_blocks[listed])
            if x.residual_scales[block * x.tokens + token] == 0 { continue }
            sum = addBlock(reader, tiles, row, block, x, token, residual: true, to: sum)
          }
          sum *= UnsafeRawPointer(base).loadUnaligned(fromByteOffset: 4 * row, as: Float.self)
          sum = addOutliers(steps, m.outlier_steps, row, x, token, to: sum)
          store(sum, y, row: 16 * group + row, token: token)
        }
      }
    }
  }

  private static func addBlock(
    _ reader: TwoLevelReader, _ tiles: UnsafePointer<UInt8>, _ row: Int, _ block: Int,
    _ x: ember_token_tile, _ token: Int, residual: Bool, to sum: Float
  ) -> Float {
    let tile = tiles + block / 2 * reader.type.tileBytes
    let at = block * x.tokens + token
    guard let codes = residual ? x.residual_codes : x.codes,
      let scales = residual ? x.residual_scales : x.scales
    else { return sum }
    // At most 2 · 128 · 16 · 32 · 127 < 2^24 in size: exact, as an integer and as a float.
    var dot: Int32 = 0
    for i in 0..<32 {
      let column = block % 2 * 32 + i
      dot +=
        reader.scale(tile, row, column) * reader.value(tile, row, column)
        * Int32(codes[32 * at + i])
    }
    return ScalarMath.fma(Float(dot), scales[at], sum)
  }
}
