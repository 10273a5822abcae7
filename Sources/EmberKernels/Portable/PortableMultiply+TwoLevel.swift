import CKernels

extension PortableMultiply {
  /// Products of the types with two levels of scales: a block's integers are expanded once for all
  /// tokens.
  static func multiplyTwoLevel(
    _ type: MatrixType, _ m: ember_matrix, _ x: ember_token_tile, _ y: ember_output,
    groups: Range<Int>
  ) {
    guard let data = m.data, let values = x.values else { return }
    var weights = [SIMD16<Int32>](repeating: .zero, count: 32)
    var sums = [SIMD16<Float>](repeating: .zero, count: x.tokens)
    for group in groups {
      let base = UnsafeRawPointer(data) + group * m.group_stride
      let tiles = base + type.rowScaleBytes
      for token in 0..<x.tokens { sums[token] = .zero }
      for block in 0..<x.columns / 32 {
        expand(type, tiles, block, &weights)
        for token in 0..<x.tokens {
          add(weights, block, x, token, x.codes, x.scales, to: &sums[token])
        }
      }
      for listed in 0..<x.residual_block_count {
        let block = Int(x.residual_blocks[listed])
        expand(type, tiles, block, &weights)
        for token in 0..<x.tokens where x.residual_scales[block * x.tokens + token] != 0 {
          add(weights, block, x, token, x.residual_codes, x.residual_scales, to: &sums[token])
        }
      }
      let rowScales = base.loadUnaligned(as: SIMD16<Float>.self)
      let steps = tiles + m.column_tiles * type.tileBytes
      for token in 0..<x.tokens {
        let sum = addOutliers(
          steps, m.outlier_steps, values + token * x.columns, to: sums[token] * rowScales)
        store(sum, m, y, group: group, token: token)
      }
    }
  }

  /// Sixteen rows' scale · value, at most 128 · 32 in size, for each column of a block.
  private static func expand(
    _ type: MatrixType, _ tiles: UnsafeRawPointer, _ block: Int, _ weights: inout [SIMD16<Int32>]
  ) {
    let tile = tiles + block / 2 * type.tileBytes
    let half = block % 2
    let scales = SIMD16<Int32>(
      truncatingIfNeeded: (tile + 32 * half).loadUnaligned(as: SIMD16<Int16>.self))
    let low = (scales &<< 24) &>> 24
    let high = scales &>> 8
    for line in 0..<4 {
      let nibbles = (tile + 64 + 256 * half + 64 * line).loadUnaligned(as: SIMD16<UInt32>.self)
      let plane = upperBits(type, tile, half, line)
      for i in 0..<4 {
        let byte = nibbles &>> UInt32(8 * i)
        weights[4 * line + i] =
          low &* values(type, byte & 15, plane.low &>> UInt32(8 * i))
        weights[16 + 4 * line + i] =
          high &* values(type, (byte &>> 4) & 15, plane.high &>> UInt32(8 * i))
      }
    }
  }

  /// The bits above the lower four of a line's codes, at the lower end of every byte; with them,
  /// what else the byte holds.
  @inline(__always)
  private static func upperBits(
    _ type: MatrixType, _ tile: UnsafeRawPointer, _ block: Int, _ line: Int
  ) -> (low: SIMD16<UInt32>, high: SIMD16<UInt32>) {
    switch type {
    case .q5:
      let plane = (tile + 576 + 64 * block).loadUnaligned(as: SIMD16<UInt32>.self)
      return (plane &>> UInt32(2 * line), plane &>> UInt32(2 * line + 1))
    case .q6:
      let plane = (tile + 576 + 128 * block + 64 * (line / 2))
        .loadUnaligned(as: SIMD16<UInt32>.self)
      return (plane &>> UInt32(4 * (line % 2)), plane &>> UInt32(4 * (line % 2) + 2))
    default: return (.zero, .zero)
    }
  }

  @inline(__always)
  private static func values(
    _ type: MatrixType, _ low: SIMD16<UInt32>, _ upper: SIMD16<UInt32>
  ) -> SIMD16<Int32> {
    switch type {
    case .q5: return SIMD16<Int32>(truncatingIfNeeded: low | (upper & 1) &<< 4) &- 16
    case .q6: return SIMD16<Int32>(truncatingIfNeeded: low | (upper & 3) &<< 4) &- 32
    default:
      var values = SIMD16<Int32>()
      for lane in 0..<16 { values[lane] = Int32(MatrixType.q4nGrid[Int(low[lane])]) }
      return values &- 32
    }
  }

  @inline(__always)
  private static func add(
    _ weights: [SIMD16<Int32>], _ block: Int, _ x: ember_token_tile, _ token: Int,
    _ codes: UnsafePointer<Int8>?, _ scales: UnsafePointer<Float>?, to sum: inout SIMD16<Float>
  ) {
    let at = block * x.tokens + token
    guard let codes, let scales else { return }
    var dot = SIMD16<Int32>(repeating: 0)
    for i in 0..<32 { dot &+= weights[i] &* Int32(codes[32 * at + i]) }
    sum = fma(SIMD16<Float>(dot), SIMD16(repeating: scales[at]), sum)
  }
}
